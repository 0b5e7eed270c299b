#include "cluster/gpus.hpp"

#include <doctest/doctest.h>

#include "common/error.hpp"

namespace guda::cluster {
namespace {
constexpr const char* kTwo =
    "GPU-aaaa1111, 00000000:3B:00.0, NVIDIA A100-SXM4-80GB, 550.54.15, 81920\nGPU-bbbb2222, 00000000:5E:00.0, NVIDIA "
    "A100-SXM4-80GB, 550.54.15, [N/A]\n";
}

TEST_CASE("gpus: nvidia-smi's lines become UUIDs, models and bytes") {
  const auto gpus = parse_nvidia_smi(kTwo);
  REQUIRE(gpus.size() == 2);
  CHECK(gpus[0].uuid == "GPU-aaaa1111");
  CHECK(gpus[0].memory == 81920ULL << 20);
  CHECK(gpus[1].memory == 0);
  CHECK(gpus[1].pci == "00000000:5E:00.0");
  CHECK_THROWS_AS(static_cast<void>(parse_nvidia_smi("Unable to determine the device handle for GPU\n")), Error);
}

TEST_CASE("gpus: CUDA_VISIBLE_DEVICES hides, orders and ends at its first invalid entry") {
  const auto all = parse_nvidia_smi(kTwo);
  const auto uuids = [&](const char* mask) {
    std::vector<std::string> list;
    for (const Gpu& g : apply_mask(all, mask)) list.push_back(g.uuid);
    return list;
  };
  CHECK(uuids("1,0") == std::vector<std::string>{"GPU-bbbb2222", "GPU-aaaa1111"});
  CHECK(uuids("GPU-bbbb") == std::vector<std::string>{"GPU-bbbb2222"});
  CHECK(uuids("0,7,1") == std::vector<std::string>{"GPU-aaaa1111"});
  CHECK(uuids("NoDevFiles").empty());
  CHECK(uuids("MIG-1234") == std::vector<std::string>{"MIG-1234"});
}

}  // namespace guda::cluster
