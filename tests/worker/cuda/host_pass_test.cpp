#include "tests/worker/cuda/host_pass.hpp"

#include <doctest/doctest.h>

#include <bit>
#include <vector>

#include "worker/diffusion/noise.hpp"

namespace guda::worker {

TEST_CASE("cuda noise: the same source gives the same bits when nvcc compiles it for the host") {
  if (!has_host_pass()) {
    MESSAGE("skipped: no nvcc");
    return;
  }
  for (const std::uint64_t query : {0ULL, 0xFEDCBA9876543210ULL}) {
    std::vector<float> ours(20'003), theirs(20'003);
    fill_normal(99, query, 65535, 7, ours);
    host_pass_normals(99, query, 65535U << 16 | 7U, theirs);
    std::size_t different = 0;
    for (std::size_t i = 0; i < ours.size(); ++i)
      different += std::bit_cast<std::uint32_t>(ours[i]) != std::bit_cast<std::uint32_t>(theirs[i]) ? 1 : 0;
    CHECK(different == 0);
  }
}

}  // namespace guda::worker
