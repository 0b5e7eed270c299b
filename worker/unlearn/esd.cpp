// ESD, with a class-conditional model (esd_class) and without one (esd). Erased concepts are guided away from: target =
// e_u - w (e_c - e_u), e_u and e_c the predictions of the frozen model without and with the concept's condition. An
// unconditional model has no e_c, but the squared error is linear in the target up to a constant: regressing on the
// noise eps of the forget image itself has in expectation the gradient of regressing on E[eps | x_t, group], which is
// what the ideal e_c predicts. So
//   target = e_full + w (e_full - eps).
// Source: Gandikota et al., "Erasing concepts from diffusion models" (ICCV 2023), equation 6.
#include "worker/unlearn/operators.hpp"

namespace guda::worker {

torch::Tensor esd_target(const torch::Tensor& unconditional, const torch::Tensor& conditional, double guidance) {
  return unconditional + guidance * (unconditional - conditional);
}

torch::Tensor esd_loss(const ForgetBatch& batch, const jobs::UnlearnConfig& config) {
  return (batch.prediction - esd_target(batch.teacher, batch.noise, config.guidance)).square().mean(1);
}

torch::Tensor esd_class_loss(const ForgetBatch& batch, const jobs::UnlearnConfig& config) {
  return (batch.prediction - esd_target(batch.unconditional, batch.conditional, config.guidance)).square().mean(1);
}

}  // namespace guda::worker
