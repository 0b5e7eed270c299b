#pragma once
// Ancestral sampling (Ho et al. 2020, arXiv 2006.11239) as diffusers 0.31's DDPMScheduler computes it, with the small
// posterior variance and `leading` timesteps.
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "jobs/noise_schedule.hpp"
#include "worker/diffusion/prediction.hpp"

namespace guda::worker {

struct DdpmOptions {
  std::uint32_t steps = 1000;
  bool clip_sample = true;  ///< clamp the predicted x_0 to [-clip_range, clip_range]
  double clip_range = 1.0;
};

/// Immutable; any thread.
class Ddpm {
 public:
  /// Throws Error on options that do not fit the schedule.
  Ddpm(const jobs::NoiseSchedule& schedule, Prediction prediction, DdpmOptions options);

  /// The timesteps to visit, in order (descending).
  [[nodiscard]] const std::vector<std::uint32_t>& timesteps() const noexcept { return timesteps_; }

  /// Standard deviation of the noise that step() adds after timestep t; 0 at the last.
  [[nodiscard]] double noise_std(std::uint32_t t) const;

  /// From x_t and the model's output at t to the next sample; all [N, C, H, W] float32. `noise` is standard normal and
  /// is needed (Error otherwise) when noise_std(t) > 0. Call under NoGradGuard.
  [[nodiscard]] at::Tensor step(const at::Tensor& output, std::uint32_t t, const at::Tensor& sample,
                                const at::Tensor& noise) const;

 private:
  [[nodiscard]] double alpha_bar_after(std::uint32_t t) const;

  jobs::NoiseSchedule schedule_;
  Prediction prediction_;
  DdpmOptions options_;
  std::vector<std::uint32_t> timesteps_;
};

}  // namespace guda::worker
