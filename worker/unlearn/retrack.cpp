// ReTrack: the noise of a forget image is retargeted to the posterior mean of the noise under its retain neighbours.
// Target in the difference form, with the term common to all neighbours removed analytically:
//   E_r = -(SNR ||a_f - a_r||^2 + 2 sqrt(SNR) <eps, a_f - a_r>)/2,   p = softmax(E),
//   target = eps + sqrt(SNR) sum_r p_r (a_f - a_r).
// Source: Shi et al., "ReTrack: data unlearning in diffusion models through redirecting the denoising trajectory"
// (2025).
#include <cmath>

#include "worker/unlearn/operators.hpp"

namespace guda::worker {
namespace {

/// [rows, K] weights of the neighbours; softmax subtracts the maximum, so no exponent under- or overflows.
torch::Tensor neighbour_weights(const ForgetBatch& batch) {
  const torch::Tensor& differences = batch.differences;
  const torch::Tensor snr = batch.snr.unsqueeze(1);
  const torch::Tensor along_noise = differences.matmul(batch.noise.unsqueeze(2)).squeeze(2);
  const torch::Tensor exponents = (snr * differences.square().sum(2) + 2 * snr.sqrt() * along_noise) * -0.5;
  return exponents.softmax(1);
}

/// [rows, D] sum over neighbours of scale_r p_r (a_f - a_r) in units of the noise.
torch::Tensor redirection(const ForgetBatch& batch, const torch::Tensor& weights) {
  return batch.snr.sqrt().unsqueeze(1) * weights.unsqueeze(1).matmul(batch.differences).squeeze(1);
}

torch::Tensor squared_error(const torch::Tensor& prediction, const torch::Tensor& target) {
  return (prediction - target).square().mean(1);
}

torch::Tensor exact_target(const ForgetBatch& batch) {
  const torch::NoGradGuard no_grad;
  return batch.noise + redirection(batch, neighbour_weights(batch));
}

}  // namespace

torch::Tensor retrack_exact_loss(const ForgetBatch& batch, const jobs::UnlearnConfig&) {
  return squared_error(batch.prediction, exact_target(batch));
}

torch::Tensor retrack_clipped_loss(const ForgetBatch& batch, const jobs::UnlearnConfig& config) {
  torch::Tensor target;
  {
    const torch::NoGradGuard no_grad;
    const torch::Tensor lengths = batch.snr.sqrt().unsqueeze(1) * batch.differences.square().sum(2).sqrt();
    // A duplicate of the forget image has length 0: 0/0 would be NaN, and nothing needs clipping there.
    const torch::Tensor scale = (std::sqrt(2 * config.kl_cap) / lengths.clamp_min(1e-20)).clamp_max(1.0);
    target = batch.noise + redirection(batch, neighbour_weights(batch) * scale);
  }
  return squared_error(batch.prediction, target);
}

torch::Tensor retrack_minsnr_loss(const ForgetBatch& batch, const jobs::UnlearnConfig& config) {
  return squared_error(batch.prediction, exact_target(batch)) * (batch.snr.clamp_max(config.minsnr_gamma) / batch.snr);
}

torch::Tensor retrack_released_loss(const ForgetBatch& batch, const jobs::UnlearnConfig&) {
  return batch.prediction.square().mean(1);
}

}  // namespace guda::worker
