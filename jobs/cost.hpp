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

/// Seconds of `forwards` image forwards, or of training on as many images: three times as much (forward and two
/// backward products), less where only some of the parameters are trained, one forward more where activations are
/// recomputed.
[[nodiscard]] double forward_seconds(const Json& config, double forwards, double tokens = kClipTokens);
[[nodiscard]] double training_seconds(const Json& config, double images, double tokens = kClipTokens,
                                      const ParametersConfig& parameters = {}, bool recomputed = false);

/// Seconds of a training job for each of the resources.gang workers that share every batch of it: the largest share,
/// and an all-reduce of the gradients in every step (kAssumedReduced numbers a second and member).
[[nodiscard]] double gang_training_seconds(const Json& config, const TrainingConfig& training,
                                           const ResourcesConfig& resources, double tokens = kClipTokens);

/// Numbers that a member of a gang is assumed to add up in a second; it reads those of all from memory that they share.
inline constexpr double kAssumedReduced = 500e6;

/// The name under which jobs of equal cost per FLOP are measured: train, "unlearn ifu", sample, score, attribute.
[[nodiscard]] std::string cost_class(const Work& work);

/// Floating-point operations of a planned job (0 for jobs that are not counted in FLOPs: real query sets, controls).
[[nodiscard]] double job_flops(const JobSpec& job);

}  // namespace guda::jobs
