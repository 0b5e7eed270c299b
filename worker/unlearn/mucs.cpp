// MUCS's clamped ascent with the group itself in the query's place: each image's loss rises until it is that of a
// network that predicts nothing. The clamp bounds the ascent, so the published stop rule is left out here.
// Source: Serra et al. 2026 (arXiv 2605.17938), for noise prediction.
#include "worker/unlearn/operators.hpp"

namespace guda::worker {

torch::Tensor mucs_loss(const ForgetBatch& batch, const jobs::UnlearnConfig&) {
  constexpr double kUntrainedLoss = 1;  // E|eps|^2 / D
  return -(batch.prediction - batch.noise).square().mean(1).clamp_max(kUntrainedLoss);
}

}  // namespace guda::worker
