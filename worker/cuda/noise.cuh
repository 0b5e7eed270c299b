#pragma once
#include "worker/cuda/kernels.hpp"
#include "worker/cuda/numbers.cuh"

namespace guda::worker::cuda {

inline constexpr int kNoiseThreads = 256;

__global__ void fill_normal_kernel(normal::Stream stream, std::int64_t n, float* out) {
  const std::int64_t block = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (4 * block >= n) return;
  float four[4];
  normal::four_normals(stream, static_cast<std::uint32_t>(block), four);
  for (int i = 0; i < 4; ++i) {
    if (4 * block + i < n) out[4 * block + i] = four[i];
  }
}

/// Grid: counters of a row, rows.
__global__ void fill_rows_kernel(std::uint64_t seed, const NoisedRow* rows, std::int64_t size, float* out) {
  const NoisedRow row = rows[blockIdx.y];
  const std::int64_t block = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (4 * block >= size) return;
  float four[4];
  normal::four_normals(normal::stream_of(seed, row.query_id, row.slot), static_cast<std::uint32_t>(block), four);
  float* const to = out + blockIdx.y * size;
  for (int i = 0; i < 4; ++i) {
    if (4 * block + i < size) to[4 * block + i] = row.sign * four[i];
  }
}

/// Grid: counters of a row, rows.
__global__ void noised_rows_kernel(std::uint64_t seed, const NoisedRow* rows, std::int64_t size, const float* clean,
                                   RowInputs out) {
  const std::int64_t n = blockIdx.y;
  const NoisedRow row = rows[n];
  const std::int64_t block = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (block == 0) {
    out.timesteps[n] = row.slot >> 16;
    out.images[n] = row.image;
    out.gamma[n] = row.scale;
    out.sigma[n] = row.spread;
  }
  if (4 * block >= size) return;
  float four[4];
  normal::four_normals(normal::stream_of(seed, row.query_id, row.slot), static_cast<std::uint32_t>(block), four);
  const float* const image = clean + row.image * size;
  float* const to = out.x_t + n * size;
  for (int i = 0; i < 4; ++i) {
    const std::int64_t at = 4 * block + i;
    if (at < size) to[at] = row.scale * image[at] + row.spread * (row.sign * four[i]);
  }
}

/// Grid: rows.
template <class T>
__global__ void squared_errors_kernel(std::uint64_t seed, const NoisedRow* rows, const T* predicted, RowLayout layout,
                                      float* results) {
  __shared__ double sums[kNoiseThreads];
  const NoisedRow row = rows[blockIdx.x];
  const std::int64_t size = layout.channels * layout.pixels;
  const T* const from = predicted + blockIdx.x * size;
  const normal::Stream stream = normal::stream_of(seed, row.query_id, row.slot);
  double sum = 0;
  for (std::int64_t block = threadIdx.x; 4 * block < size; block += kNoiseThreads) {
    float four[4];
    normal::four_normals(stream, static_cast<std::uint32_t>(block), four);
    for (int i = 0; i < 4; ++i) {
      const std::int64_t at = 4 * block + i;
      if (at >= size) break;
      const std::int64_t place = at / layout.pixels * layout.channel_stride + at % layout.pixels * layout.pixel_stride;
      const double difference = static_cast<double>(row.sign * four[i]) - to_float(from[place]);
      sum += difference * difference;
    }
  }
  sums[threadIdx.x] = sum;
  __syncthreads();
  for (int half = kNoiseThreads / 2; half > 0; half /= 2) {
    if (static_cast<int>(threadIdx.x) < half) sums[threadIdx.x] += sums[threadIdx.x + half];
    __syncthreads();
  }
  if (threadIdx.x == 0 && row.place != kNowhere) results[row.place] = static_cast<float>(sums[0]);
}

}  // namespace guda::worker::cuda
