#pragma once
// Which (timestep, draw) pairs are scored: the whole grid, slots that are drawn from it, or a pilot's. Pure; any
// thread.
#include <cstdint>
#include <span>
#include <vector>

#include "jobs/spec.hpp"

namespace guda::jobs {

/// Share of the drawn slots that is uniform over the grid whatever weights and pilot say: no weight exceeds ten times
/// that of a uniform draw.
inline constexpr double kUniformShare = 0.1;

/// The grid: first_timestep, first_timestep + stride, ..., last_timestep at most.
[[nodiscard]] std::vector<std::uint32_t> scored_timesteps(const ScoringConfig& scoring);

/// Draw numbers of draw set s are s * draws_of_set ... (s + 1) * draws_of_set - 1.
[[nodiscard]] std::uint32_t draws_of_set(const ScoringConfig& scoring) noexcept;
/// Slots of one draw set.
[[nodiscard]] std::uint64_t slots_of_set(const ScoringConfig& scoring) noexcept;

/// The slot axis of an experiment, draw sets 0 and 1, with ELBO weights: `allocation: grid` visits every timestep
/// `draws` times; the others draw `slots` of the grid, two units a stratum, or, for a race, as many strata as a unit
/// has slots, units in turn; the first weighting of the comparison times `spread` decides where (empty: the weighting
/// alone). A list for each draw set, from names: equal arguments, equal
/// lists. Antithetic pairs are neighbours. Throws Error when `spread` is not one number per timestep of the grid.
[[nodiscard]] std::vector<Slot> slot_axis(const Experiment& experiment, std::span<const double> spread);

/// A pilot's slots: every timestep of the grid `pilot.draws` times, ascending t within a draw; draws of draw set 2.
[[nodiscard]] std::vector<Slot> pilot_slots(const ScoringConfig& scoring);

}  // namespace guda::jobs
