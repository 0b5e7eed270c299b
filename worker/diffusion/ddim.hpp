#pragma once
// DDIM sampling (Song et al. 2021, arXiv 2010.02502) as diffusers 0.31's DDIMScheduler computes it.
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "jobs/noise_schedule.hpp"
#include "worker/diffusion/prediction.hpp"

namespace guda::worker {

struct DdimOptions {
  std::uint32_t steps = 100;
  double eta = 0.0;         ///< 0: deterministic; 1: the variance of ancestral sampling
  bool clip_sample = true;  ///< clamp the predicted x_0 to [-clip_range, clip_range]
  double clip_range = 1.0;
  bool reuse_clipped = false;       ///< recompute eps from the clamped x_0 (diffusers: use_clipped_model_output)
  bool set_alpha_to_one = true;     ///< A beyond the last step is 1, else A_0
  std::string spacing = "leading";  ///< leading | trailing | linspace
  std::uint32_t steps_offset = 0;   ///< added to every timestep of `leading`
};

/// Immutable; any thread.
class Ddim {
 public:
  /// Throws Error on options that do not fit the schedule.
  Ddim(const jobs::NoiseSchedule& schedule, Prediction prediction, DdimOptions options);

  /// The timesteps to visit, in order (descending).
  [[nodiscard]] const std::vector<std::uint32_t>& timesteps() const noexcept { return timesteps_; }

  /// Standard deviation of the noise that step() adds after timestep t; 0 when it needs none.
  [[nodiscard]] double noise_std(std::uint32_t t) const;

  /// From x_t and the model's output at t to the next sample; all [N, C, H, W] float32. `noise` is standard normal and
  /// is needed (Error otherwise) when noise_std(t) > 0. Not differentiable use: call under NoGradGuard.
  [[nodiscard]] at::Tensor step(const at::Tensor& output, std::uint32_t t, const at::Tensor& sample,
                                const at::Tensor& noise) const;

 private:
  [[nodiscard]] double alpha_bar_after(std::uint32_t t) const;

  jobs::NoiseSchedule schedule_;
  Prediction prediction_;
  DdimOptions options_;
  std::vector<std::uint32_t> timesteps_;
};

}  // namespace guda::worker
