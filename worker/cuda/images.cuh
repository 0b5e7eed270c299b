#pragma once
#include "worker/cuda/kernels.hpp"

namespace guda::worker::cuda {

inline constexpr int kImageThreads = 256;

/// Grid: pixels of an image, images. `lines`: channels times height.
__global__ void gather_images_kernel(const std::uint8_t* images, const std::int64_t* items, const std::uint8_t* flips,
                                     std::int64_t lines, std::int64_t width, PixelValues values, float* out) {
  const std::int64_t size = lines * width, n = blockIdx.y;
  const std::int64_t at = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (at >= size) return;
  const std::int64_t column = at % width;
  const std::int64_t from = flips != nullptr && flips[n] != 0 ? at - column + (width - 1 - column) : at;
  out[n * size + at] = values.value[images[items[n] * size + from]];
}

}  // namespace guda::worker::cuda
