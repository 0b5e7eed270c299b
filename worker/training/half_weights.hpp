#pragma once
// Training in bfloat16 without losing small steps: the network computes with bfloat16 copies of its weights, the
// optimizer keeps and changes the float32 ones (Micikevicius et al., "Mixed precision training", ICLR 2018).
#include <torch/torch.h>

#include <vector>

namespace guda::worker {

class HalfWeights {
 public:
  /// From here on the parameters hold bfloat16 numbers. Their handles are kept.
  explicit HalfWeights(std::vector<torch::Tensor> parameters);
  /// They hold the float32 numbers again; gradients are dropped.
  ~HalfWeights();
  HalfWeights(const HalfWeights&) = delete;
  HalfWeights& operator=(const HalfWeights&) = delete;

  /// float32, in the order of the parameters.
  [[nodiscard]] const std::vector<torch::Tensor>& masters() const noexcept { return masters_; }
  /// Rounds the copies anew, after somebody has changed the float32 numbers.
  void refresh();

 private:
  std::vector<torch::Tensor> parameters_, masters_;
};

}  // namespace guda::worker
