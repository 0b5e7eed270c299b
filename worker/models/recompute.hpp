#pragma once
// Gradient checkpointing (Chen et al., arXiv 1604.06174): a block keeps its inputs only, and computes the rest again
// when its gradient is wanted. The same operations on the same numbers in the same order: the same bits.
#include <torch/torch.h>

#include <functional>
#include <vector>

namespace guda::worker {

/// While one with `on` lives on this thread, recomputed() does what it says; like torch's grad mode.
class RecomputeScope {
 public:
  explicit RecomputeScope(bool on) noexcept;
  ~RecomputeScope();
  RecomputeScope(const RecomputeScope&) = delete;
  RecomputeScope& operator=(const RecomputeScope&) = delete;

 private:
  bool outer_;
};

/// forward(inputs) of a block, which may be called a second time on the way back; `block` must outlive that. Inputs may
/// be undefined. An input that the block uses in several places is to be given once for each, in the order in which
/// their gradients would be added up. Dropout draws the same masks again. Outside of a scope, and where no gradient is
/// wanted: forward(inputs).
[[nodiscard]] at::Tensor recomputed(const torch::nn::Module& block, std::vector<at::Tensor> inputs,
                                    std::function<at::Tensor(const std::vector<at::Tensor>&)> forward);

}  // namespace guda::worker
