#include "jobs/weighting.hpp"

#include <algorithm>

namespace guda::jobs {
namespace {

/// The given weights, linear between their timesteps.
double custom_weight(const WeightingConfig& weighting, std::uint32_t t) {
  const auto& at = weighting.timesteps;
  const auto next = std::lower_bound(at.begin(), at.end(), t);
  if (next == at.end()) return weighting.weights.back();
  const auto i = static_cast<std::size_t>(next - at.begin());
  if (i == 0 || *next == t) return weighting.weights[i];
  const double part = static_cast<double>(t - at[i - 1]) / static_cast<double>(at[i] - at[i - 1]);
  return weighting.weights[i - 1] + part * (weighting.weights[i] - weighting.weights[i - 1]);
}

}  // namespace

std::vector<WeightingConfig> weightings_of(const Experiment& experiment) {
  if (!experiment.comparison.weightings.empty()) return experiment.comparison.weightings;
  const std::uint32_t timesteps = experiment.diffusion.timesteps;
  return {{.name = "elbo", .kind = "elbo"},
          {.name = "mid", .kind = "elbo", .t_min = timesteps / 10, .t_max = timesteps - timesteps / 10}};
}

double timestep_weight(const WeightingConfig& weighting, const NoiseSchedule& schedule, std::uint32_t t) {
  if (t < weighting.t_min || t >= weighting.t_max) return 0;
  if (weighting.kind == "flat") return 1;
  if (weighting.kind == "min_snr") return std::min(1.0, weighting.gamma / schedule.snr(t));
  if (weighting.kind == "custom") return custom_weight(weighting, t);
  return schedule.elbo_weight(t);
}

}  // namespace guda::jobs
