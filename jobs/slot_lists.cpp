#include "jobs/slot_lists.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include "common/digest.hpp"
#include "common/slot_sampling.hpp"
#include "jobs/noise_schedule.hpp"
#include "jobs/plan.hpp"
#include "jobs/race.hpp"
#include "jobs/weighting.hpp"

namespace guda::jobs {
namespace {

/// `draws` visits of every timestep, each weight that of one visit; pairs share it.
void visit_grid(const ScoringConfig& scoring, std::uint32_t first_draw, std::uint32_t draws,
                const std::vector<double>& weights, std::vector<Slot>& slots) {
  const std::vector<std::uint32_t> grid = scored_timesteps(scoring);
  for (std::uint32_t draw = first_draw; draw < first_draw + draws; ++draw) {
    for (std::size_t i = 0; i < grid.size(); ++i) {
      Slot slot{.timestep = grid[i], .draw = draw, .weight = scoring.antithetic ? weights[i] / 2 : weights[i]};
      slots.push_back(slot);
      if (!scoring.antithetic) continue;
      slot.negated = true;
      slots.push_back(slot);
    }
  }
}

std::vector<Slot> drawn_slots(const Experiment& experiment, std::span<const double> spread) {
  const ScoringConfig& scoring = experiment.scoring;
  const NoiseSchedule schedule(experiment.diffusion);
  const WeightingConfig view = weightings_of(experiment).front();
  const std::vector<std::uint32_t> grid = scored_timesteps(scoring);
  if (!spread.empty() && spread.size() != grid.size()) {
    throw Error("a pilot of " + std::to_string(spread.size()) + " timesteps does not fit a grid of " +
                std::to_string(grid.size()));
  }
  std::vector<double> weights, importance;
  for (std::size_t i = 0; i < grid.size(); ++i) {
    weights.push_back(schedule.elbo_weight(grid[i]));
    importance.push_back(std::abs(timestep_weight(view, schedule, grid[i])) * (spread.empty() ? 1 : spread[i]));
  }
  // Weights of 1: the uniform share covers timesteps too that this view leaves out and others do not.
  const std::vector<double> probabilities =
      slot_probabilities(std::vector<double>(grid.size(), 1.0), importance, kUniformShare);
  const std::uint32_t units = races(scoring) ? most_units(scoring) : 2;
  const SlotDesign design{
      .strata = scoring.slots / units, .units_per_stratum = units, .antithetic = scoring.antithetic};
  std::vector<Slot> slots;
  for (const std::uint32_t set : {kOracleDraws, kMethodDraws}) {
    const std::uint64_t seed = (SeedPath(experiment.seeds.front()) / "scoring" / "slots" / std::to_string(set)).value();
    for (const SampledSlot& drawn : sample_slots(weights, probabilities, design, seed)) {
      slots.push_back({.timestep = grid[drawn.point],
                       .draw = set * draws_of_set(scoring) + drawn.draw,
                       .weight = drawn.weight,
                       .negated = drawn.negated,
                       .stratum = drawn.stratum,
                       .unit = drawn.unit});
    }
  }
  return slots;
}

}  // namespace

std::vector<std::uint32_t> scored_timesteps(const ScoringConfig& scoring) {
  std::vector<std::uint32_t> grid;
  for (std::uint32_t t = scoring.first_timestep; t <= scoring.last_timestep; t += scoring.stride) grid.push_back(t);
  return grid;
}

std::uint32_t draws_of_set(const ScoringConfig& scoring) noexcept {
  return std::max(1U, scoring.allocation == "grid" ? scoring.draws : scoring.slots);
}

std::uint64_t slots_of_set(const ScoringConfig& scoring) noexcept {
  const std::uint64_t grid = (scoring.last_timestep - scoring.first_timestep) / scoring.stride + 1;
  const std::uint64_t units = scoring.allocation == "grid" ? grid * scoring.draws : scoring.slots;
  return units * (scoring.antithetic ? 2 : 1);
}

std::vector<Slot> slot_axis(const Experiment& experiment, std::span<const double> spread) {
  const ScoringConfig& scoring = experiment.scoring;
  if (scoring.allocation != "grid") return drawn_slots(experiment, spread);
  const NoiseSchedule schedule(experiment.diffusion);
  std::vector<double> weights;
  for (const std::uint32_t t : scored_timesteps(scoring)) weights.push_back(schedule.elbo_weight(t) / scoring.draws);
  std::vector<Slot> slots;
  visit_grid(scoring, 0, 2 * scoring.draws, weights, slots);
  return slots;
}

std::vector<Slot> pilot_slots(const ScoringConfig& scoring) {
  std::vector<Slot> slots;
  visit_grid(scoring, kPilotDraws * draws_of_set(scoring), scoring.pilot.draws,
             std::vector<double>(scored_timesteps(scoring).size(), 0.0), slots);
  return slots;
}

}  // namespace guda::jobs
