#include "worker/diffusion/dpm_solver.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cmath>
#include <utility>

#include "common/error.hpp"

namespace guda::worker {

DpmSolver::DpmSolver(const jobs::NoiseSchedule& schedule, Prediction prediction, DpmSolverOptions options)
    : schedule_(schedule), prediction_(prediction), options_(options) {
  const std::uint32_t all = schedule_.timesteps(), steps = options_.steps;
  if (steps < 1 || steps >= all) {
    throw Error(fmt::format(
        "sampler.steps: {} is not in 1..{}: DPM-Solver++ takes fewer steps than there are timesteps", steps, all - 1));
  }
  // linspace(0, T - 1, steps + 1) without its 0; as numpy rounds: halves to even.
  for (std::uint32_t i = steps; i > 0; --i) {
    timesteps_.push_back(static_cast<std::uint32_t>(std::nearbyint(static_cast<double>(i) * ((all - 1.0) / steps))));
  }
}

at::Tensor DpmSolver::step(const at::Tensor& output, std::size_t i, const at::Tensor& sample,
                           at::Tensor& x0_before) const {
  const std::uint32_t t = timesteps_.at(i);
  const at::TensorOptions scalar = sample.options().dtype(at::kFloat);
  const NoiseLevels levels{.gamma = at::scalar_tensor(schedule_.sqrt_alpha_bar(t), scalar),
                           .sigma = at::scalar_tensor(schedule_.sigma(t), scalar)};
  at::Tensor x0 = to_x0(prediction_, output, sample, levels);
  if (options_.clip_sample) x0 = x0.clamp(-1, 1);
  const at::Tensor before = std::exchange(x0_before, x0);
  if (i + 1 == timesteps_.size()) return x0;  // onto noise level 0: exp(-h) = 0, and of first order

  // lambda: half of the logarithm of the signal-to-noise ratio.
  const auto lambda = [&](std::uint32_t at) { return 0.5 * std::log(schedule_.snr(at)); };
  const std::uint32_t next = timesteps_[i + 1];
  const double h = lambda(next) - lambda(t);
  const double shrink = schedule_.sigma(next) / schedule_.sigma(t),
               gain = -schedule_.sqrt_alpha_bar(next) * std::expm1(-h);
  at::Tensor result = shrink * sample + gain * x0;
  if (i == 0) return result;
  if (!before.defined()) throw Bug("DPM-Solver++ was not given what the step before predicted");
  const double ratio = (lambda(t) - lambda(timesteps_[i - 1])) / h;
  return result.add_(x0 - before, 0.5 * gain / ratio);
}

}  // namespace guda::worker
