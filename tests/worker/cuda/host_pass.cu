#include "tests/worker/cuda/host_pass.hpp"
#include "worker/diffusion/normal.hpp"

namespace guda::worker {

bool has_host_pass() { return true; }

void host_pass_normals(std::uint64_t seed, std::uint64_t query_id, std::uint32_t slot, std::span<float> out) {
  const normal::Stream stream = normal::stream_of(seed, query_id, slot);
  float four[4];
  for (std::size_t i = 0; i < out.size(); ++i) {
    if (i % 4 == 0) normal::four_normals(stream, static_cast<std::uint32_t>(i / 4), four);
    out[i] = four[i % 4];
  }
}

}  // namespace guda::worker
