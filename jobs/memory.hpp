#pragma once
// How much memory a job needs, counted from the layers of its model. What the plan says and a worker checks.
#include "common/json.hpp"
#include "jobs/cost.hpp"
#include "jobs/plan.hpp"

namespace guda::jobs {

/// Numbers in the weights of one such model.
[[nodiscard]] double unet2d_parameters(const Json& config);

/// Numbers that training changes: all of them, those of the attention's projections, or those of the LoRA.
[[nodiscard]] double trained_parameters(const Json& config, const ParametersConfig& parameters);

/// Numbers of one image. `backward`: what a forward leaves behind for its backward. `recomputed`: the same where blocks
/// keep their inputs only and one of them at a time is computed again. `forward`: the most that are alive at once in a
/// forward alone (scoring, sampling): skip connections plus the widest block.
struct Activations {
  double backward = 0, recomputed = 0, forward = 0;
};
[[nodiscard]] Activations unet2d_activations(const Json& config, double tokens = kClipTokens);

/// What stands beside the model in a text-to-image experiment (jobs/pipeline_folder.hpp).
struct FrozenParts {
  Json autoencoder;             ///< its config at the size of the pictures; null: there is none
  double text_encoder = 0;      ///< numbers in its weights
  double tokens = kClipTokens;  ///< of a text
};

/// Bytes that a worker needs for a job on its device, beside the library itself: weights, teacher (which shares what is
/// not trained), and of what is trained gradients, optimizer moments and EMA; activations of the rows that are computed
/// at once; the autoencoder where pictures become latents or come from them; float32. An estimate, within a quarter
/// of what the tensors of train, unlearn and score jobs were measured to take (tests/worker/job_memory_test.cpp); the
/// heap between them may hold as much as three quarters more for scoring, a third for the others.
[[nodiscard]] double job_memory(const JobSpec& job, const Experiment& experiment, const FrozenParts& parts = {});

}  // namespace guda::jobs
