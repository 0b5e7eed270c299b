#pragma once
// Dropout of activations. On the CPU the mask is a function of one number from LibTorch's generator and the position in
// memory: nothing is kept for the backward pass, and a mask takes a tenth of the time of LibTorch's.
#include <torch/torch.h>

namespace guda::worker {

/// Each number of x is 0 with probability p, rounded to 1/65536, and divided by 1 - p otherwise; 0 < p < 1.
/// Advances the CPU generator by one 64-bit number, whatever the size of x. Float32 CPU tensors that lie densely in
/// memory; all others are LibTorch's. Differentiable once.
[[nodiscard]] at::Tensor dropout(const at::Tensor& x, double p);

}  // namespace guda::worker
