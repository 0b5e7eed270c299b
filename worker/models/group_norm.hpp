#pragma once
// GroupNorm followed by an optional SiLU in one pass over channels-last activations: on the CPU LibTorch's own
// GroupNorm takes 19 times as long in this layout as in NCHW (docs/performance.md), on a GPU it copies to that layout
// and back, while convolutions want this one.
#include <torch/torch.h>

namespace guda::worker {

/// silu(group_norm(x)) or group_norm(x); x [N, C, H, W]. Statistics in fp32, biased variance, as torch::nn::GroupNorm.
/// Channels-last float32 CPU tensors, and float32 or bfloat16 ones on a GPU, take a fused kernel (forward and backward;
/// bits do not depend on the batch), all others LibTorch's. Differentiable once in x, gamma and beta.
[[nodiscard]] at::Tensor group_norm(const at::Tensor& x, const at::Tensor& gamma, const at::Tensor& beta,
                                    std::int64_t groups, double eps, bool silu);

}  // namespace guda::worker
