// SISS without importance sampling, as GUDA's code intends it:
//   L = n/n_r MSE(retain) - strength n_k/n_r MSE(forget).
// It has no minimum, so the loop (unlearner.cpp) limits the norm of the second gradient to `gradient_cap` norms of the
// retain gradient of the same step; the released code probes that norm once, and then discards the forget gradient
// altogether. Source: Alberti et al., "Data unlearning in diffusion models" (ICLR 2025).
#include "worker/unlearn/operators.hpp"

namespace guda::worker {

torch::Tensor siss_loss(const ForgetBatch& batch, const jobs::UnlearnConfig&) {
  return -(batch.prediction - batch.noise).square().mean(1);
}

void add_capped_gradients(std::vector<torch::Tensor>& parameters, const std::vector<torch::Tensor>& gradients,
                          double cap, double weight) {
  const torch::NoGradGuard no_grad;
  std::vector<torch::Tensor> present, added;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    if (parameters[i].grad().defined()) present.push_back(parameters[i].grad());
    if (gradients[i].defined()) added.push_back(gradients[i]);
  }
  if (added.empty()) return;
  torch::Tensor scale = torch::ones({}, added[0].options());
  if (cap > 0 && !present.empty()) {
    const torch::Tensor limit = torch::stack(at::_foreach_norm(present, 2)).norm() * (cap / weight);
    scale = (limit / torch::stack(at::_foreach_norm(added, 2)).norm().clamp_min(1e-30)).clamp_max(1.0);
  }
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    if (!gradients[i].defined()) continue;
    const torch::Tensor scaled = gradients[i] * scale;
    if (parameters[i].grad().defined()) {
      parameters[i].mutable_grad().add_(scaled);
    } else {
      parameters[i].mutable_grad() = scaled;
    }
  }
}

}  // namespace guda::worker
