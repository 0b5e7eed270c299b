#include "worker/diffusion/ddpm.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "common/error.hpp"

namespace guda::worker {
namespace {

constexpr double kSmallestVariance = 1e-20;  // as diffusers has it

}  // namespace

Ddpm::Ddpm(const jobs::NoiseSchedule& schedule, Prediction prediction, DdpmOptions options)
    : schedule_(schedule), prediction_(prediction), options_(options) {
  const std::uint32_t all = schedule_.timesteps(), steps = options_.steps;
  if (steps < 1 || steps > all) throw Error(fmt::format("sampler.steps: {} is not in 1..{} timesteps", steps, all));
  if (!(options_.clip_range > 0))
    throw Error(fmt::format("sampler.clip_range: {} is not positive", options_.clip_range));
  for (std::uint32_t i = steps; i-- > 0;) timesteps_.push_back(i * (all / steps));
}

double Ddpm::alpha_bar_after(std::uint32_t t) const {
  const std::uint32_t stride = schedule_.timesteps() / options_.steps;
  return t >= stride ? schedule_.alpha_bar(t - stride) : 1.0;
}

double Ddpm::noise_std(std::uint32_t t) const {
  if (t == 0) return 0;
  const double now = schedule_.alpha_bar(t), after = alpha_bar_after(t);
  return std::sqrt(std::max((1 - after) / (1 - now) * (1 - now / after), kSmallestVariance));
}

at::Tensor Ddpm::step(const at::Tensor& output, std::uint32_t t, const at::Tensor& sample,
                      const at::Tensor& noise) const {
  const double std_dev = noise_std(t);
  if (std_dev > 0 && !noise.defined()) throw Error(fmt::format("ancestral sampling needs noise at timestep {}", t));
  const at::TensorOptions scalar = sample.options().dtype(at::kFloat);
  const NoiseLevels levels{.gamma = at::scalar_tensor(schedule_.sqrt_alpha_bar(t), scalar),
                           .sigma = at::scalar_tensor(schedule_.sigma(t), scalar)};
  at::Tensor x0 = to_x0(prediction_, output, sample, levels);
  if (options_.clip_sample) x0 = x0.clamp(-options_.clip_range, options_.clip_range);
  const double now = schedule_.alpha_bar(t), after = alpha_bar_after(t), alpha = now / after;
  const double of_x0 = std::sqrt(after) * (1 - alpha) / (1 - now),
               of_sample = std::sqrt(alpha) * (1 - after) / (1 - now);
  at::Tensor next = of_x0 * x0 + of_sample * sample;
  return std_dev > 0 ? next.add_(noise, std_dev) : next;
}

}  // namespace guda::worker
