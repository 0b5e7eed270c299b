#pragma once
// What a model's output means, and how it converts to noise, to the clean image and to a training target.
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <string_view>

#include "jobs/noise_schedule.hpp"

namespace guda::worker {

enum class Prediction { epsilon, v_prediction, sample };

/// From diffusers' name; throws Error naming the known ones.
[[nodiscard]] Prediction prediction_from(std::string_view name);

/// sqrt(A_t) and sqrt(1 - A_t) of a batch, float32 [N, 1, 1, 1], ready to broadcast over [N, C, H, W].
struct NoiseLevels {
  at::Tensor gamma, sigma;
};

/// One row per timestep; throws Error on a timestep beyond the schedule.
[[nodiscard]] NoiseLevels noise_levels(const jobs::NoiseSchedule& schedule, std::span<const std::uint32_t> timesteps,
                                       const at::Device& device = at::kCPU);

/// x_t = gamma x_0 + sigma eps; all [N, C, H, W].
[[nodiscard]] at::Tensor add_noise(const at::Tensor& x0, const at::Tensor& eps, const NoiseLevels& levels);

/// What the model should output for (x_0, eps): eps, gamma eps - sigma x_0 (Salimans and Ho 2022, arXiv 2202.00512),
/// or x_0.
[[nodiscard]] at::Tensor training_target(Prediction prediction, const at::Tensor& x0, const at::Tensor& eps,
                                         const NoiseLevels& levels);

/// Noise that the output of the model at x_t stands for. Differentiable.
[[nodiscard]] at::Tensor to_eps(Prediction prediction, const at::Tensor& output, const at::Tensor& x_t,
                                const NoiseLevels& levels);

/// Clean image that the output stands for; not clamped. Differentiable.
[[nodiscard]] at::Tensor to_x0(Prediction prediction, const at::Tensor& output, const at::Tensor& x_t,
                               const NoiseLevels& levels);

}  // namespace guda::worker
