// GUDA-C: the noise of a forget image is retargeted to what the full model predicts under an anchor caption in place of
// the image's own (arXiv 2601.22651; methods.md 2.4), || eps_theta(z_t, t, c_f) - eps_full(z_t, t, c_a) ||^2; retained
// images are distilled. forget_weight is 1 / lambda of the published form, which weighs the other term.
#include "worker/unlearn/operators.hpp"

namespace guda::worker {

torch::Tensor guda_c_loss(const ForgetBatch& batch, const jobs::UnlearnConfig&) {
  return (batch.prediction - batch.anchor).square().mean(1);
}

}  // namespace guda::worker
