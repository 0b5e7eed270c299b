#pragma once
// One block for every image and slab of groups: as many whole groups as make rows of at least 32 channels, so that
// every access to memory is wide whatever a group's size. A thread owns V neighbouring channels of the slab and every
// (threads / lanes)-th pixel. x is read twice, the second time from the cache: a slab of a 32x32 image is 64 KB in
// bfloat16. Sums are taken around the first pixel's value, so that a mean far from 0 costs no digits.
#include "worker/cuda/kernels.hpp"
#include "worker/cuda/numbers.cuh"

namespace guda::worker::cuda {

inline constexpr int kNormThreads = 256;
inline constexpr int kSlabLeast = 32, kSlabMost = 512;  // channels

/// Channels of a slab: a multiple of a group's channels and of `vector`.
GUDA_EVERYWHERE int slab_of(const NormShape& shape, int vector) {
  const int group = static_cast<int>(shape.channels / shape.groups);
  int slab = group;
  while (slab < kSlabLeast || slab % vector != 0) slab += group;
  return slab < shape.channels ? slab : static_cast<int>(shape.channels);
}

/// The part of the work that a thread has.
struct NormPlace {
  int first, width;  ///< channels of the slab
  int lanes, rows;   ///< threads along channels, along pixels
  int lane, row;     ///< of this thread
  int group;         ///< channels of a group
  int first_group, groups;
};

template <int V>
GUDA_EVERYWHERE NormPlace norm_place(const NormShape& shape, int slab, int block, int thread) {
  NormPlace p{};
  p.first = block * slab;
  p.width = static_cast<int>(shape.channels) - p.first;
  if (p.width > slab) p.width = slab;
  p.lanes = p.width / V;
  p.rows = kNormThreads / p.lanes;
  p.lane = thread % p.lanes;
  p.row = thread / p.lanes;
  p.group = static_cast<int>(shape.channels / shape.groups);
  p.first_group = p.first / p.group;
  p.groups = p.width / p.group;
  return p;
}

/// Adds up, for every channel of the slab, what the threads of its lane have: sums[k][channel], k = 0, 1. Of all
/// threads of the block; ends with the sums visible to all.
template <int V>
__device__ void channel_sums(const NormPlace& p, const float (&mine)[2][V], float (&parts)[2][kNormThreads * V],
                             float (&sums)[2][kSlabMost]) {
  if (p.row < p.rows) {
    for (int k = 0; k < 2; ++k) {
      for (int v = 0; v < V; ++v) parts[k][p.row * p.width + p.lane * V + v] = mine[k][v];
    }
  }
  __syncthreads();
  for (int c = static_cast<int>(threadIdx.x); c < p.width; c += kNormThreads) {
    for (int k = 0; k < 2; ++k) {
      float sum = 0;
      for (int row = 0; row < p.rows; ++row) sum += parts[k][row * p.width + c];
      sums[k][c] = sum;
    }
  }
  __syncthreads();
}

GUDA_EVERYWHERE float sigmoid(float z) { return 1.0F / (1.0F + std::exp(-z)); }

/// Grid: slabs, images.
template <class T, int V>
__global__ void group_norm_forward_kernel(NormShape shape, int slab, const T* x, const T* gamma, const T* beta, T* y,
                                          float* mean, float* rstd) {
  __shared__ float parts[2][kNormThreads * V];
  __shared__ float sums[2][kSlabMost];
  __shared__ float means[kSlabMost], rstds[kSlabMost];
  const NormPlace p = norm_place<V>(shape, slab, static_cast<int>(blockIdx.x), static_cast<int>(threadIdx.x));
  const std::int64_t image = blockIdx.y * shape.pixels * shape.channels + p.first;
  const T* const from = x + image;
  T* const to = y + image;
  const int channel = p.lane * V;

  float shift[V], mine[2][V] = {};
  for (int v = 0; v < V; ++v) shift[v] = to_float(from[(channel + v) / p.group * p.group]);
  for (std::int64_t pixel = p.row; p.row < p.rows && pixel < shape.pixels; pixel += p.rows) {
    const auto pack = *reinterpret_cast<const Pack<T, V>*>(from + pixel * shape.channels + channel);
    for (int v = 0; v < V; ++v) {
      const float d = to_float(pack.value[v]) - shift[v];
      mine[0][v] += d;
      mine[1][v] += d * d;
    }
  }
  channel_sums<V>(p, mine, parts, sums);
  const float numbers = static_cast<float>(p.group) * static_cast<float>(shape.pixels);
  for (int g = static_cast<int>(threadIdx.x); g < p.groups; g += kNormThreads) {
    float sum = 0, squares = 0;
    for (int c = g * p.group; c < (g + 1) * p.group; ++c) {
      sum += sums[0][c];
      squares += sums[1][c];
    }
    const float off = sum / numbers;
    const float variance = squares / numbers - off * off;
    means[g] = to_float(from[g * p.group]) + off;
    rstds[g] = 1.0F / std::sqrt((variance > 0 ? variance : 0) + shape.eps);
    const std::int64_t at = blockIdx.y * shape.groups + p.first_group + g;
    mean[at] = means[g];
    rstd[at] = rstds[g];
  }
  __syncthreads();

  float center[V], factor[V], offset[V];
  for (int v = 0; v < V; ++v) {
    const int g = (channel + v) / p.group;
    center[v] = means[g];
    factor[v] = to_float(gamma[p.first + channel + v]) * rstds[g];
    offset[v] = to_float(beta[p.first + channel + v]);
  }
  for (std::int64_t pixel = p.row; p.row < p.rows && pixel < shape.pixels; pixel += p.rows) {
    const std::int64_t at = pixel * shape.channels + channel;
    const auto pack = *reinterpret_cast<const Pack<T, V>*>(from + at);
    Pack<T, V> result;
    for (int v = 0; v < V; ++v) {
      const float z = (to_float(pack.value[v]) - center[v]) * factor[v] + offset[v];
      result.value[v] = from_float<T>(shape.silu ? z * sigmoid(z) : z);
    }
    *reinterpret_cast<Pack<T, V>*>(to + at) = result;
  }
}

/// Of one number: x normed, and the gradient of what comes before SiLU.
struct NormedNumber {
  float normed, gradient;
};

GUDA_EVERYWHERE NormedNumber normed_number(float x, float dy, float mean, float rstd, float gamma, float beta,
                                           bool silu) {
  const float normed = (x - mean) * rstd;
  if (!silu) return {normed, dy};
  const float z = normed * gamma + beta, s = sigmoid(z);
  return {normed, dy * s * (1.0F + z * (1.0F - s))};
}

/// Grid: slabs, images.
template <class T, int V>
__global__ void group_norm_backward_kernel(NormShape shape, int slab, const T* x, const T* gamma, const T* beta,
                                           const float* mean, const float* rstd, const T* dy, T* dx, float* partial) {
  __shared__ float parts[2][kNormThreads * V];
  __shared__ float sums[2][kSlabMost];
  __shared__ float of_groups[2][kSlabMost];
  const NormPlace p = norm_place<V>(shape, slab, static_cast<int>(blockIdx.x), static_cast<int>(threadIdx.x));
  const std::int64_t image = blockIdx.y * shape.pixels * shape.channels + p.first;
  const int channel = p.lane * V;

  float means[V], rstds[V], gammas[V], betas[V], mine[2][V] = {};
  for (int v = 0; v < V; ++v) {
    const std::int64_t g = blockIdx.y * shape.groups + p.first_group + (channel + v) / p.group;
    means[v] = mean[g];
    rstds[v] = rstd[g];
    gammas[v] = to_float(gamma[p.first + channel + v]);
    betas[v] = to_float(beta[p.first + channel + v]);
  }
  for (std::int64_t pixel = p.row; p.row < p.rows && pixel < shape.pixels; pixel += p.rows) {
    const std::int64_t at = image + pixel * shape.channels + channel;
    const auto xs = *reinterpret_cast<const Pack<T, V>*>(x + at);
    const auto dys = *reinterpret_cast<const Pack<T, V>*>(dy + at);
    for (int v = 0; v < V; ++v) {
      const NormedNumber n = normed_number(to_float(xs.value[v]), to_float(dys.value[v]), means[v], rstds[v], gammas[v],
                                           betas[v], shape.silu);
      mine[0][v] += n.gradient * n.normed;
      mine[1][v] += n.gradient;
    }
  }
  channel_sums<V>(p, mine, parts, sums);
  for (int c = static_cast<int>(threadIdx.x); c < p.width; c += kNormThreads) {
    float* const to = partial + blockIdx.y * 2 * shape.channels + p.first + c;
    to[0] = sums[0][c];
    to[shape.channels] = sums[1][c];
  }
  const float numbers = static_cast<float>(p.group) * static_cast<float>(shape.pixels);
  for (int g = static_cast<int>(threadIdx.x); g < p.groups; g += kNormThreads) {
    for (int k = 0; k < 2; ++k) {
      float sum = 0;
      for (int c = g * p.group; c < (g + 1) * p.group; ++c) sum += sums[k][c] * to_float(gamma[p.first + c]);
      of_groups[k][g] = sum / numbers;
    }
  }
  __syncthreads();

  for (std::int64_t pixel = p.row; p.row < p.rows && pixel < shape.pixels; pixel += p.rows) {
    const std::int64_t at = image + pixel * shape.channels + channel;
    const auto xs = *reinterpret_cast<const Pack<T, V>*>(x + at);
    const auto dys = *reinterpret_cast<const Pack<T, V>*>(dy + at);
    Pack<T, V> result;
    for (int v = 0; v < V; ++v) {
      const NormedNumber n = normed_number(to_float(xs.value[v]), to_float(dys.value[v]), means[v], rstds[v], gammas[v],
                                           betas[v], shape.silu);
      const int g = (channel + v) / p.group;
      result.value[v] =
          from_float<T>(rstds[v] * (gammas[v] * n.gradient - of_groups[1][g] - n.normed * of_groups[0][g]));
    }
    *reinterpret_cast<Pack<T, V>*>(dx + at) = result;
  }
}

}  // namespace guda::worker::cuda
