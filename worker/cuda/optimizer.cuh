#pragma once
// AdamW, EMA and the norm of the gradients over pieces of many tensors: one launch each, whatever the number of
// tensors. Every operation is rounded as in kernels/optimizer_isa.cpp.
#include "worker/cuda/kernels.hpp"
#include "worker/cuda/numbers.cuh"

namespace guda::worker::cuda {

inline constexpr int kPieceThreads = 512;

GUDA_EVERYWHERE float gradient_of(const Piece& piece, std::int64_t i) {
  return piece.half != nullptr ? to_float(Bf16{piece.half_gradient[i]}) : piece.gradient[i];
}

__device__ inline void sum_up(double (&sums)[kPieceThreads], double mine) {
  sums[threadIdx.x] = mine;
  __syncthreads();
  for (int half = kPieceThreads / 2; half > 0; half /= 2) {
    if (static_cast<int>(threadIdx.x) < half) sums[threadIdx.x] += sums[threadIdx.x + half];
    __syncthreads();
  }
}

/// Grid: pieces.
__global__ void sum_of_squares_kernel(const Piece* pieces, double* squares) {
  __shared__ double sums[kPieceThreads];
  const Piece piece = pieces[blockIdx.x];
  double sum = 0;
  for (std::int64_t i = threadIdx.x; i < piece.count; i += kPieceThreads) {
    const double g = gradient_of(piece, i);
    sum += g * g;
  }
  sum_up(sums, sum);
  if (threadIdx.x == 0) squares[blockIdx.x] = sums[0];
}

/// One block: squares[count] becomes the factor of the gradients.
__global__ void clip_factor_kernel(double* squares, std::int64_t count, double clip) {
  __shared__ double sums[kPieceThreads];
  double sum = 0;
  for (std::int64_t i = threadIdx.x; i < count; i += kPieceThreads) sum += squares[i];
  sum_up(sums, sum);
  if (threadIdx.x != 0) return;
  const double factor = clip / (std::sqrt(sums[0]) + 1e-6);
  squares[count] = factor < 1.0 ? factor : 1.0;
}

/// Grid: pieces. `factor` null: 1.
__global__ void adamw_kernel(const Piece* pieces, AdamWStep s, const double* factor) {
  const Piece piece = pieces[blockIdx.x];
  const float scale = factor != nullptr ? static_cast<float>(*factor) : 1.0F;
  for (std::int64_t i = threadIdx.x; i < piece.count; i += kPieceThreads) {
    const float g = gradient_of(piece, i) * scale;
    float m = piece.first[i], v = piece.second[i];
    m = m + (g - m) * s.new_first;
    v = v * s.beta2 + g * g * s.new_second;
    piece.first[i] = m;
    piece.second[i] = v;
    const float p = piece.parameter[i] * s.kept - m * s.size / (std::sqrt(v) * s.second_scale + s.eps);
    piece.parameter[i] = p;
    if (piece.half != nullptr) piece.half[i] = from_float<Bf16>(p).bits;
    if (piece.average != nullptr) {
      const float from = piece.average[i];
      piece.average[i] =
          s.average_weight < 0.5F ? from + (p - from) * s.average_weight : p - (p - from) * (1.0F - s.average_weight);
    }
  }
}

}  // namespace guda::worker::cuda
