#pragma once
// Predicted device-seconds of a job: FLOPs of the model times an assumed rate, refitted by the scheduler from finished jobs.
#include "common/json.hpp"

namespace guda::jobs {

/// Multiply-accumulates of one UNet2DModel forward of one image: convolutions, linear layers and attention products.
/// Walks the blocks as diffusers builds them; keys that are missing take diffusers' defaults.
[[nodiscard]] double unet2d_macs(const Json& config);

/// FLOP/s that one worker is assumed to reach before anything was measured: 30e9 on one CPU core (AVX2 float32).
inline constexpr double kAssumedFlops = 30e9;

/// Seconds of `forwards` image forwards, or of training on as many images (3x: forward and two backward products).
[[nodiscard]] double forward_seconds(const Json& config, double forwards);
[[nodiscard]] double training_seconds(const Json& config, double images);

}  // namespace guda::jobs
