#pragma once
// worker/diffusion/normal.hpp as nvcc compiles it for the host.
#include <cstdint>
#include <span>

namespace guda::worker {

/// Whether nvcc was there.
[[nodiscard]] bool has_host_pass();
/// out[i] = normal i of the stream.
void host_pass_normals(std::uint64_t seed, std::uint64_t query_id, std::uint32_t slot, std::span<float> out);

}  // namespace guda::worker
