// Function-space influence: with d = eps_theta - eps_full the loss of a forget row is -2 <d, eps_full - eps> + rho
// ||d||^2 (means over pixels), the retain rows add ||d||^2. That is the expected gradient of training on the retain
// images at a stationary point of the full model, without the noise of its gradient; rho > 0 keeps it bounded below for
// a group that is far from all others (the minimum there is d = (eps_full - eps)/rho).
#include "worker/unlearn/operators.hpp"

namespace guda::worker {

torch::Tensor ifu_loss(const ForgetBatch& batch, const jobs::UnlearnConfig& config) {
  const torch::Tensor change = batch.prediction - batch.teacher;
  const torch::Tensor residual = batch.teacher - batch.noise;
  return (config.rho * change.square() - 2 * change * residual).mean(1);
}

}  // namespace guda::worker
