#pragma once
// Weightings of timesteps: what turns losses per slot into one score.
#include <cstdint>
#include <vector>

#include "jobs/noise_schedule.hpp"

namespace guda::jobs {

/// The weightings of the experiment; when it names none: elbo, and mid = elbo restricted to 10 % <= t < 90 % of T.
[[nodiscard]] std::vector<WeightingConfig> weightings_of(const Experiment& experiment);

/// Weight of one whole visit of timestep t: nats per squared error for kind elbo, 0 outside of [t_min, t_max).
[[nodiscard]] double timestep_weight(const WeightingConfig& weighting, const NoiseSchedule& schedule, std::uint32_t t);

}  // namespace guda::jobs
