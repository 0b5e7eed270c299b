#pragma once
// DPM-Solver++(2M) (Lu et al. 2022, arXiv 2211.01095) as diffusers 0.31's DPMSolverMultistepScheduler computes it with
// its defaults: dpmsolver++ of order 2, midpoint, `linspace` timesteps, the last step of first order onto noise level
// 0.
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "jobs/noise_schedule.hpp"
#include "worker/diffusion/prediction.hpp"

namespace guda::worker {

struct DpmSolverOptions {
  std::uint32_t steps = 20;
  bool clip_sample = false;  ///< clamp the predicted x_0 to [-1, 1]; diffusers has no such option for this solver
};

/// Immutable; any thread. Deterministic: what step() remembers is handed back and forth.
class DpmSolver {
 public:
  /// Throws Error on options that do not fit the schedule.
  DpmSolver(const jobs::NoiseSchedule& schedule, Prediction prediction, DpmSolverOptions options);

  /// The timesteps to visit, in order (descending).
  [[nodiscard]] const std::vector<std::uint32_t>& timesteps() const noexcept { return timesteps_; }

  /// Step number i, from x_t and the model's output at t = timesteps()[i] to the next sample; all [N, C, H, W] float32.
  /// `x0_before` is the predicted x_0 of step i - 1 (not read in the first step) and becomes that of this one. Call
  /// under NoGradGuard.
  [[nodiscard]] at::Tensor step(const at::Tensor& output, std::size_t i, const at::Tensor& sample,
                                at::Tensor& x0_before) const;

 private:
  jobs::NoiseSchedule schedule_;
  Prediction prediction_;
  DpmSolverOptions options_;
  std::vector<std::uint32_t> timesteps_;
};

}  // namespace guda::worker
