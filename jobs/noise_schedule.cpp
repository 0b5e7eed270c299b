#include "jobs/noise_schedule.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <numbers>
#include <string>
#include <utility>

#include "common/error.hpp"

namespace guda::jobs {
namespace {

// Timesteps are 16 bits of the noise counter (worker/diffusion/noise.hpp).
constexpr std::uint32_t kMaxTimesteps = 65536;

std::vector<std::string> faults_of(const DiffusionConfig& c) {
  std::vector<std::string> faults;
  if (c.timesteps < 1 || c.timesteps > kMaxTimesteps) {
    faults.push_back(fmt::format("diffusion.timesteps: {} is not in 1..{}", c.timesteps, kMaxTimesteps));
  }
  if (c.tables != "float64" && c.tables != "float32") {
    faults.push_back(fmt::format("diffusion.tables: '{}' is not one of float64, float32", c.tables));
  }
  if (c.schedule == "squaredcos_cap_v2") return faults;
  if (c.schedule != "linear" && c.schedule != "scaled_linear") {
    faults.push_back(
        fmt::format("diffusion.schedule: '{}' is not one of linear, scaled_linear, squaredcos_cap_v2", c.schedule));
  }
  for (const auto& [name, value] : {std::pair{"beta_start", c.beta_start}, std::pair{"beta_end", c.beta_end}}) {
    if (!(value > 0 && value < 1)) {
      faults.push_back(fmt::format("diffusion.{}: {} is not between 0 and 1 (both excluded)", name, value));
    }
  }
  return faults;
}

/// i-th of n equally spaced values from a to b; torch.linspace gives only `a` when n is 1.
double between(double a, double b, std::uint32_t i, std::uint32_t n) {
  return n < 2 ? a : a + (b - a) * static_cast<double>(i) / (n - 1);
}

/// Nichol and Dhariwal 2021 (arXiv 2102.09672), equation 17, not normalised by its value at 0.
double squared_cosine(double u) {
  const double c = std::cos((u + 0.008) / 1.008 * std::numbers::pi / 2);
  return c * c;
}

double beta_of(const DiffusionConfig& c, std::uint32_t t) {
  if (c.schedule == "linear") return between(c.beta_start, c.beta_end, t, c.timesteps);
  if (c.schedule == "scaled_linear") {
    const double root = between(std::sqrt(c.beta_start), std::sqrt(c.beta_end), t, c.timesteps);
    return root * root;
  }
  const double n = c.timesteps;
  return std::min(1 - squared_cosine((t + 1) / n) / squared_cosine(t / n), 0.999);
}

}  // namespace

NoiseSchedule::NoiseSchedule(const DiffusionConfig& config) {
  if (const auto faults = faults_of(config); !faults.empty()) {
    throw Error(fmt::format("noise schedule: {}", fmt::join(faults, "; ")));
  }
  betas_.reserve(config.timesteps);
  alpha_bars_.reserve(config.timesteps);
  if (config.tables == "float32") {
    float product = 1;
    for (std::uint32_t t = 0; t < config.timesteps; ++t) {
      const auto beta = static_cast<float>(beta_of(config, t));
      betas_.push_back(beta);
      product *= 1.0F - beta;
      alpha_bars_.push_back(product);
    }
    return;
  }
  double product = 1;
  for (std::uint32_t t = 0; t < config.timesteps; ++t) {
    betas_.push_back(beta_of(config, t));
    product *= 1 - betas_.back();
    alpha_bars_.push_back(product);
  }
}

NoiseSchedule::NoiseSchedule(std::vector<double> betas, std::vector<double> alpha_bars)
    : betas_(std::move(betas)), alpha_bars_(std::move(alpha_bars)) {
  if (betas_.empty() || betas_.size() > kMaxTimesteps || betas_.size() != alpha_bars_.size()) {
    throw Error(fmt::format("noise schedule: {} betas and {} products; both tables need 1..{} entries, equally many",
                            betas_.size(), alpha_bars_.size(), kMaxTimesteps));
  }
  for (std::size_t t = 0; t < betas_.size(); ++t) {
    const double before = t == 0 ? 1.0 : alpha_bars_[t - 1];
    if (!(betas_[t] > 0 && betas_[t] < 1 && alpha_bars_[t] > 0 && alpha_bars_[t] <= before)) {
      throw Error(fmt::format("noise schedule: beta {} and product {} at timestep {} are no noise schedule", betas_[t],
                              alpha_bars_[t], t));
    }
  }
}

std::size_t NoiseSchedule::checked(std::uint32_t t) const {
  if (t >= betas_.size()) {
    throw Error(fmt::format("timestep {} is beyond the schedule, whose last one is {}", t, betas_.size() - 1));
  }
  return t;
}

double NoiseSchedule::sqrt_alpha_bar(std::uint32_t t) const { return std::sqrt(alpha_bar(t)); }

double NoiseSchedule::sigma(std::uint32_t t) const { return std::sqrt(1 - alpha_bar(t)); }

double NoiseSchedule::snr(std::uint32_t t) const { return alpha_bar(t) / (1 - alpha_bar(t)); }

double NoiseSchedule::elbo_weight(std::uint32_t t) const {
  if (t == 0) throw Error("timestep 0 has no ELBO weight: its term is the decoder's; start the grid at 1 or later");
  const double before = alpha_bar(t - 1);
  return beta(t) * before / (2 * alpha_bar(t) * (1 - before));
}

}  // namespace guda::jobs
