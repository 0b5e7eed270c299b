#pragma once
// guda-worker eval-sampler: the steps of a sampler on given model outputs, so that anybody can check them against
// diffusers.
#include <filesystem>

namespace guda::worker {

/// `input` is a safetensors file with `sample` [N, C, H, W], `outputs` and `noises` [steps, N, C, H, W] (float32); its
/// metadata key `options` is a JSON object with any of sampler's keys kind, steps, eta, clamp and diffusion's keys
/// timesteps, schedule, beta_start, beta_end, prediction, tables. Every step starts from the result of the one before.
/// Writes `timesteps` [steps] int64 and `results` [steps, N, C, H, W] to `output`. Returns the exit code 0; throws
/// Error naming file and key.
int eval_sampler(const std::filesystem::path& input, const std::filesystem::path& output);

}  // namespace guda::worker
