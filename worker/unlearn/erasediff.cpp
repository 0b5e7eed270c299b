// EraseDiff-noise: the forget images' noise is to be predicted as fresh noise, independent of what is in x_t. In
// expectation the gradient is that of mean(eps_theta^2), which is retrack_released, with the variance of the target on
// top. Source: Wu et al., "EraseDiff" (2024), in the form with normal instead of uniform noise of GUDA's released code.
#include "worker/unlearn/operators.hpp"

namespace guda::worker {

torch::Tensor erasediff_loss(const ForgetBatch& batch, const jobs::UnlearnConfig&) {
  return (batch.prediction - batch.fresh_noise).square().mean(1);
}

}  // namespace guda::worker
