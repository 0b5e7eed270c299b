#pragma once
// Predicted device-seconds of a job: FLOPs of the model times an assumed rate, refitted by the scheduler from finished
// jobs.
#include <cstdint>
#include <string>

#include "common/json.hpp"
#include "jobs/plan.hpp"

namespace guda::jobs {

/// Tokens of CLIP's longest text: what a text-to-image model is told, unless something says otherwise.
inline constexpr double kClipTokens = 77;

/// Multiply-accumulates of one forward of one image: convolutions, linear layers and attention products. Walks the
/// blocks of a UNet2DModel or UNet2DConditionModel (with a text of `tokens`) as diffusers builds them, keys that are
/// missing take diffusers' defaults; or of an AutoencoderKL, both halves.
[[nodiscard]] double unet2d_macs(const Json& config, double tokens = kClipTokens);

/// FLOP/s that one worker is assumed to reach before anything was measured: 30e9 on one CPU core (AVX2 float32).
inline constexpr double kAssumedFlops = 30e9;

/// Seconds of `forwards` image forwards, or of training on as many images (3x: forward and two backward products).
[[nodiscard]] double forward_seconds(const Json& config, double forwards, double tokens = kClipTokens);
[[nodiscard]] double training_seconds(const Json& config, double images, double tokens = kClipTokens);

/// Seconds of a training job for each of the `gang` workers that share every batch of it: the largest share, and an
/// all-reduce of the gradients in every step (kAssumedReduced numbers a second and member).
[[nodiscard]] double gang_training_seconds(const Json& config, const TrainingConfig& training, std::uint32_t gang,
                                           double tokens = kClipTokens);

/// Numbers that a member of a gang is assumed to add up in a second; it reads those of all from memory that they share.
inline constexpr double kAssumedReduced = 500e6;

/// The name under which jobs of equal cost per FLOP are measured: train, "unlearn ifu", sample, score, attribute.
[[nodiscard]] std::string cost_class(const Work& work);

/// Floating-point operations of a planned job (0 for jobs that are not counted in FLOPs: real query sets, controls).
[[nodiscard]] double job_flops(const JobSpec& job);

/// Numbers in the weights of one such model.
[[nodiscard]] double unet2d_parameters(const Json& config);

/// Numbers that one image's forward leaves behind for its backward (training), and the most that are alive at once in a
/// forward alone (scoring, sampling): skip connections plus the widest block.
struct Activations {
  double backward = 0, forward = 0;
};
[[nodiscard]] Activations unet2d_activations(const Json& config, double tokens = kClipTokens);

/// What stands beside the model in a text-to-image experiment (jobs/pipeline_folder.hpp).
struct FrozenParts {
  Json autoencoder;             ///< its config at the size of the pictures; null: there is none
  double text_encoder = 0;      ///< numbers in its weights
  double tokens = kClipTokens;  ///< of a text
};

/// Bytes that a worker needs for a job on its device, beside the library itself: weights, gradients, optimizer moments,
/// EMA, teacher, activations of a batch, the autoencoder where pictures become latents or come from them; float32. An
/// estimate for "does the model fit?", not a bound.
[[nodiscard]] double job_memory(const JobSpec& job, const Json& model, const FrozenParts& parts = {});

}  // namespace guda::jobs
