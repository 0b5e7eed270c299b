#include "worker/diffusion/ddim.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "common/error.hpp"

namespace guda::worker {
namespace {

/// As numpy rounds: halves to even.
std::uint32_t rounded(double x) { return static_cast<std::uint32_t>(std::nearbyint(x)); }

std::vector<std::uint32_t> leading(std::uint32_t all, std::uint32_t steps, std::uint32_t offset) {
  std::vector<std::uint32_t> t;
  for (std::uint32_t i = steps; i-- > 0;) t.push_back(i * (all / steps) + offset);
  return t;
}

std::vector<std::uint32_t> trailing(std::uint32_t all, std::uint32_t steps) {
  std::vector<std::uint32_t> t;
  const double stride = static_cast<double>(all) / steps;
  for (std::uint32_t i = 0; i < steps; ++i) t.push_back(rounded(all - i * stride) - 1);
  return t;
}

std::vector<std::uint32_t> equally_spaced(std::uint32_t all, std::uint32_t steps) {
  std::vector<std::uint32_t> t;
  for (std::uint32_t i = steps; i-- > 0;) {
    t.push_back(steps == 1 ? 0 : rounded(static_cast<double>(i) * ((all - 1.0) / (steps - 1))));
  }
  return t;
}

}  // namespace

Ddim::Ddim(const jobs::NoiseSchedule& schedule, Prediction prediction, DdimOptions options)
    : schedule_(schedule), prediction_(prediction), options_(std::move(options)) {
  const std::uint32_t all = schedule_.timesteps(), steps = options_.steps;
  if (steps < 1 || steps > all) throw Error(fmt::format("sampler.steps: {} is not in 1..{} timesteps", steps, all));
  if (!(options_.eta >= 0 && options_.eta <= 1))
    throw Error(fmt::format("sampler.eta: {} is not in 0..1", options_.eta));
  if (!(options_.clip_range > 0))
    throw Error(fmt::format("sampler.clip_range: {} is not positive", options_.clip_range));
  if (options_.spacing == "leading") {
    timesteps_ = leading(all, steps, options_.steps_offset);
  } else if (options_.spacing == "trailing") {
    timesteps_ = trailing(all, steps);
  } else if (options_.spacing == "linspace") {
    timesteps_ = equally_spaced(all, steps);
  } else {
    throw Error(fmt::format("sampler.spacing: '{}' is not one of leading, trailing, linspace", options_.spacing));
  }
  if (timesteps_.front() >= all) {
    throw Error(fmt::format("sampler.steps_offset: {} leads to timestep {} of a schedule of {}", options_.steps_offset,
                            timesteps_.front(), all));
  }
}

double Ddim::alpha_bar_after(std::uint32_t t) const {
  const std::uint32_t stride = schedule_.timesteps() / options_.steps;
  if (t >= stride) return schedule_.alpha_bar(t - stride);
  return options_.set_alpha_to_one ? 1.0 : schedule_.alpha_bar(0);
}

double Ddim::noise_std(std::uint32_t t) const {
  const double now = schedule_.alpha_bar(t), after = alpha_bar_after(t);
  return options_.eta * std::sqrt((1 - after) / (1 - now) * (1 - now / after));
}

at::Tensor Ddim::step(const at::Tensor& output, std::uint32_t t, const at::Tensor& sample,
                      const at::Tensor& noise) const {
  const double std_dev = noise_std(t);
  if (std_dev > 0 && !noise.defined())
    throw Error(fmt::format("DDIM with eta {} needs noise at timestep {}", options_.eta, t));
  const double after = alpha_bar_after(t);
  const double gamma = schedule_.sqrt_alpha_bar(t), sigma = schedule_.sigma(t);

  const at::TensorOptions scalar = sample.options().dtype(at::kFloat);
  const NoiseLevels levels{.gamma = at::scalar_tensor(gamma, scalar), .sigma = at::scalar_tensor(sigma, scalar)};
  at::Tensor x0 = to_x0(prediction_, output, sample, levels);
  at::Tensor eps = to_eps(prediction_, output, sample, levels);
  if (options_.clip_sample) {
    x0 = x0.clamp(-options_.clip_range, options_.clip_range);
    if (options_.reuse_clipped) eps = (sample - gamma * x0) / sigma;
  }
  // Cancellation can leave a tiny negative number where eta = 1 uses up all of the variance.
  const double direction = std::sqrt(std::max(0.0, 1 - after - std_dev * std_dev));
  at::Tensor next = std::sqrt(after) * x0 + direction * eps;
  return std_dev > 0 ? next.add_(noise, std_dev) : next;
}

}  // namespace guda::worker
