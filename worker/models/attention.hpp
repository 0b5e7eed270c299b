#pragma once
// Multi-head softmax attention. On the CPU heads of 8 or 16 channels run on our own kernels (worker/kernels):
// LibTorch's flash attention takes three to four times as long there (docs/performance.md). All others run on LibTorch.
#include <torch/torch.h>

#include <cstdint>

namespace guda::worker {

/// softmax(q k^T / sqrt(channels of a head)) v in each of `heads` heads; q [N, queries, C], k, v [N, keys, C], float32
/// or whatever LibTorch takes; [N, queries, C]. Differentiable once.
[[nodiscard]] at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, std::int64_t heads);

/// The same for transformers over many tokens: on the CPU our own kernels where there are 1,024 queries or more and
/// heads of more than 16 channels (docs/performance.md), LibTorch's elsewhere.
[[nodiscard]] at::Tensor transformer_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                               std::int64_t heads);

}  // namespace guda::worker
