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

TEST_CASE("gpus: a GPU that is cut into MIG slices is its slices, pinned by their UUIDs") {
  const auto all = parse_nvidia_smi(kTwo);
  const auto cut = with_mig_slices(all,
                                   "GPU 0: NVIDIA A100-SXM4-80GB (UUID: GPU-aaaa1111)\n"
                                   "  MIG 1g.10gb     Device  0: (UUID: MIG-c6d4f1ef-42e4)\n"
                                   "  MIG 3g.40gb     Device  1: (UUID: MIG-cba663e8-9bed)\n"
                                   "GPU 1: NVIDIA A100-SXM4-80GB (UUID: GPU-bbbb2222)\n");
  REQUIRE(cut.size() == 3);
  CHECK(cut[0].uuid == "MIG-c6d4f1ef-42e4");
  CHECK(cut[0].model == "NVIDIA A100-SXM4-80GB MIG 1g.10gb");
  CHECK(cut[0].memory == 10ULL << 30);
  CHECK(cut[1].memory == 40ULL << 30);
  CHECK(cut[1].pci == "00000000:3B:00.0");
  CHECK(cut[2].uuid == "GPU-bbbb2222");
  CHECK(apply_mask(cut, "MIG-cba663e8-9bed").front().memory == 40ULL << 30);
  CHECK(with_mig_slices(all, "").size() == 2);
}

}  // namespace guda::cluster
