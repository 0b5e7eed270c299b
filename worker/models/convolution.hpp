#pragma once
// Convolutions of a UNet with what surrounds them. On the CPU small ones run on our own kernels (worker/kernels), which
// do the enlargement, the shift and the residual on the way; all others run on LibTorch. Where each wins: ./run bench
// kernels.
#include <torch/nn/modules/conv.h>

namespace guda::worker {

/// What a residual block does right before and after a convolution.
struct ConvAround {
  bool enlarge = false;  ///< nearest neighbour x2 first
  at::Tensor shift;      ///< [N or 1, out], added to every pixel
  at::Tensor residual;   ///< like the result, added to it
};

/// conv(x) with its surroundings; x [N, in, H, W]. Differentiable once in x, weight, bias, shift and residual.
[[nodiscard]] at::Tensor convolve(torch::nn::Conv2d& conv, const at::Tensor& x, const ConvAround& around = {});

}  // namespace guda::worker
