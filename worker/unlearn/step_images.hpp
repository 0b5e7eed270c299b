#pragma once
// One half of an unlearning step: images with their timesteps and noise, and what a model says about them.
#include <torch/torch.h>

#include <cstdint>
#include <vector>

#include "jobs/noise_schedule.hpp"
#include "worker/diffusion/prediction.hpp"
#include "worker/models/denoiser.hpp"
#include "worker/training/batch_share.hpp"
#include "worker/training/examples.hpp"
#include "worker/training/streams.hpp"

namespace guda::worker {

struct StepImages {
  std::vector<std::uint32_t> items, timesteps;
  std::vector<bool> flips;       ///< empty: none is mirrored
  torch::Tensor noise, x_t;      ///< float32 [rows, C, H, W]
  torch::Tensor context{};       ///< [rows, L, W]: what a text-to-image model is told; undefined for others
  torch::Tensor latent_noise{};  ///< [rows, C, H, W] that latents were drawn with; undefined for pixels
};

/// `rows` training images of batch number `step`; every random number is a function of `seed` and the step.
[[nodiscard]] StepImages draw_step_images(const SeedPath& seed, std::uint64_t step, std::uint32_t rows, bool flip,
                                          ItemStream& stream, const Examples& examples,
                                          const jobs::NoiseSchedule& schedule);

/// The given images under the noise of batch number `step`, timesteps stratified over the rows.
[[nodiscard]] StepImages noised_images(const SeedPath& seed, std::uint64_t step, std::vector<std::uint32_t> items,
                                       std::vector<bool> flips, const Examples& examples,
                                       const jobs::NoiseSchedule& schedule);

/// Consecutive rows of them.
[[nodiscard]] StepImages rows_of(const StepImages& images, const BatchShare& rows);

/// Consecutive rows of both, `more` after `first`: what a model predicts from.
[[nodiscard]] StepImages joined(const StepImages& first, const StepImages& more);

/// Predicted noise [rows, D], on `device`.
[[nodiscard]] torch::Tensor predict_noise(const Denoiser& model, Prediction prediction,
                                          const jobs::NoiseSchedule& schedule, const StepImages& rows,
                                          torch::Device device);

}  // namespace guda::worker
