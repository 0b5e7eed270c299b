#pragma once
// What every launch needs. For nvcc only.
#include <cuda_runtime_api.h>

#include <cstdint>
#include <stdexcept>
#include <string>

namespace guda::worker::cuda {

/// A refused launch becomes an exception; nothing is waited for.
inline void check_launch(const char* kernel) {
  const cudaError_t error = cudaGetLastError();
  if (error == cudaSuccess) return;
  throw std::runtime_error(std::string("CUDA error: ") + cudaGetErrorString(error) + " (launching " + kernel + ")");
}

inline unsigned blocks_for(std::int64_t count, std::int64_t per_block) {
  return static_cast<unsigned>((count + per_block - 1) / per_block);
}

/// The second dimension of a grid ends here.
inline constexpr std::int64_t kMostRows = 65535;
inline void require_rows(std::int64_t rows) {
  if (rows > kMostRows)
    throw std::runtime_error("a GPU kernel takes at most 65535 rows at once, not " + std::to_string(rows));
}

}  // namespace guda::worker::cuda
