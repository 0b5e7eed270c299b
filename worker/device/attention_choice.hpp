#pragma once
// Which implementation of attention a GPU uses: on a Hopper cuDNN's is often the fastest for training, elsewhere flash;
// narrow heads and float32 leave few. So the first time a shape is seen, each is timed.
#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

namespace guda::worker {

/// Whether this thread's choices are made by the clock; otherwise the one that always gives the same bits is taken.
void choose_attention(bool by_the_clock);

/// softmax(q k^T / sqrt(channels)) v; [N, heads, tokens, channels] on a GPU. Differentiable. Times the implementations
/// at the first call with a shape, type and need of gradients, some milliseconds; such a call must not be captured by a
/// graph.
[[nodiscard]] at::Tensor gpu_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v);

struct AttentionTiming {
  std::string shape, chosen;
  std::vector<std::pair<std::string, double>> microseconds;  ///< of those that took the shape
};
/// What was timed so far by this thread.
[[nodiscard]] std::vector<AttentionTiming> attention_timings();

}  // namespace guda::worker
