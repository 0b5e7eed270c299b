#include "jobs/race.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "common/error.hpp"
#include "jobs/noise_schedule.hpp"
#include "jobs/slot_lists.hpp"
#include "jobs/weighting.hpp"

namespace guda::jobs {
namespace {

RaceUntil question_of(const ScoringConfig& scoring) {
  if (scoring.until == "top1") return RaceUntil::top1;
  if (scoring.until == "top3") return RaceUntil::top3;
  if (scoring.until == "ranking") return RaceUntil::ranking;
  throw Bug("no race is for '" + scoring.until + "'");
}

/// Weights of the slots of a draw set in the first weighting of the comparison.
std::vector<double> race_weights(const Plan& plan, std::size_t first, std::size_t count) {
  const WeightingConfig view = weightings_of(plan.experiment).front();
  const NoiseSchedule schedule(plan.experiment.diffusion);
  std::vector<double> weights;
  for (std::size_t s = first; s < first + count; ++s) {
    const Slot& slot = plan.slots.at(s);
    weights.push_back(slot.weight * timestep_weight(view, schedule, slot.timestep) /
                      schedule.elbo_weight(slot.timestep));
  }
  return weights;
}

bool same_rules(const Experiment& a, const Experiment& b) {
  const WeightingConfig x = weightings_of(a).front(), y = weightings_of(b).front();
  return a.scoring.until == b.scoring.until && a.scoring.confidence == b.scoring.confidence &&
         a.scoring.unit == b.scoring.unit && x.kind == y.kind && x.t_min == y.t_min && x.t_max == y.t_max &&
         x.gamma == y.gamma && x.timesteps == y.timesteps && x.weights == y.weights;
}

}  // namespace

bool races(const ScoringConfig& scoring) { return scoring.until != "all"; }

std::uint32_t most_units(const ScoringConfig& scoring) { return scoring.slots / std::max(1U, scoring.unit); }

std::vector<std::uint32_t> round_ends(const ScoringConfig& scoring) {
  const std::uint32_t most = most_units(scoring);
  std::vector<std::uint32_t> ends{std::min(kFirstDecision, most)};
  while (ends.back() < most) {
    const std::uint32_t step = ends.back() / 2, next = ends.back() + step;
    ends.push_back(next + step / 2 >= most ? most : next);
  }
  return ends;
}

std::uint32_t slots_of_unit(const ScoringConfig& scoring) { return scoring.unit * (scoring.antithetic ? 2 : 1); }

RaceLane first_round(const Plan& plan, const std::string& rows, std::uint32_t draw_set) {
  const std::uint8_t finished = round_ends(plan.experiment.scoring).size() == 1 ? 1 : 0;
  return {.rows = rows,
          .draw_set = draw_set,
          .rounds = std::vector<std::uint8_t>(plan.queries.size() * plan.groups.size(), 1),
          .finished = std::vector<std::uint8_t>(plan.queries.size(), finished)};
}

std::uint32_t latest_round(const RaceLane& lane, std::size_t query, std::size_t groups) {
  const auto begin = lane.rounds.begin() + static_cast<std::ptrdiff_t>(query * groups);
  return *std::max_element(begin, begin + static_cast<std::ptrdiff_t>(groups));
}

Race replay_race(const Plan& plan, std::uint32_t draw_set, std::uint32_t units, const RaceLosses& losses) {
  const ScoringConfig& scoring = plan.experiment.scoring;
  const auto groups = static_cast<std::uint32_t>(plan.groups.size());
  const std::size_t per_unit = slots_of_unit(scoring), first = draw_set * slots_of_set(scoring);
  const std::vector<double> weights = race_weights(plan, first, units * per_unit);
  Race race(groups, {.until = question_of(scoring),
                     .confidence = scoring.confidence,
                     .first_decision = kFirstDecision,
                     .most_units = most_units(scoring)});
  std::vector<double> values(groups);
  for (std::uint32_t unit = 0; unit < units && !race.finished(); ++unit) {
    for (std::uint32_t k = 0; k < groups; ++k) {
      values[k] = 0;
      if (!race.live(k)) continue;
      for (std::size_t s = unit * per_unit; s < (unit + 1) * per_unit; ++s)
        values[k] += weights[s] * losses(k, first + s);
      if (!std::isfinite(values[k])) return race;
    }
    race.add(values);
  }
  return race;
}

RaceLane with_next_round(const Plan& plan, RaceLane lane, const std::function<RaceLosses(std::size_t query)>& losses) {
  const std::size_t groups = plan.groups.size();
  const std::vector<std::uint32_t> ends = round_ends(plan.experiment.scoring);
  for (std::size_t q = 0; q < lane.finished.size(); ++q) {
    if (lane.finished[q] != 0) continue;
    const std::uint32_t round = latest_round(lane, q, groups);
    const Race race = replay_race(plan, lane.draw_set, ends.at(round - 1), losses(q));
    lane.finished[q] = race.finished() || round + 1 >= ends.size() ? 1 : 0;
    if (race.finished()) continue;
    for (std::uint32_t k = 0; k < groups; ++k) {
      if (race.live(k)) lane.rounds[q * groups + k] = static_cast<std::uint8_t>(round + 1);
    }
  }
  return lane;
}

RaceLane to_the_end(const Plan& plan, RaceLane lane) {
  const std::size_t groups = plan.groups.size();
  const auto last = static_cast<std::uint8_t>(round_ends(plan.experiment.scoring).size());
  for (std::size_t q = 0; q < lane.finished.size(); ++q) {
    const std::uint32_t round = latest_round(lane, q, groups);
    for (std::size_t k = 0; k < groups && lane.finished[q] == 0; ++k) {
      if (lane.rounds[q * groups + k] == round) lane.rounds[q * groups + k] = last;
    }
    lane.finished[q] = 1;
  }
  return lane;
}

RaceLane ended_here(RaceLane lane) {
  std::fill(lane.finished.begin(), lane.finished.end(), std::uint8_t{1});
  return lane;
}

std::vector<RaceLane> lanes_so_far(const Plan& plan, const Plan& before) {
  std::vector<RaceLane> lanes = plan.race;
  if (before.slots != plan.slots || before.groups != plan.groups || !same_rules(before.experiment, plan.experiment))
    return lanes;
  std::map<std::string, std::size_t> at;
  for (std::size_t q = 0; q < before.queries.size(); ++q) at.emplace(before.queries[q].name, q);
  const auto place_in = [](const std::vector<RaceLane>& all, const RaceLane& lane) {
    return std::find_if(all.begin(), all.end(), [&](const RaceLane& other) {
      return other.rows == lane.rows && other.draw_set == lane.draw_set;
    });
  };
  // What the full model scores for a lane depends on the lanes before it: new ones go last.
  std::stable_sort(lanes.begin(), lanes.end(), [&](const RaceLane& a, const RaceLane& b) {
    return place_in(before.race, a) < place_in(before.race, b);
  });
  const std::size_t groups = plan.groups.size();
  for (RaceLane& lane : lanes) {
    const auto known = place_in(before.race, lane);
    if (known == before.race.end()) continue;
    for (std::size_t q = 0; q < plan.queries.size(); ++q) {
      const auto from = at.find(plan.queries[q].name);
      if (from == at.end()) continue;
      lane.finished[q] = known->finished[from->second];
      std::copy_n(known->rounds.begin() + static_cast<std::ptrdiff_t>(from->second * groups), groups,
                  lane.rounds.begin() + static_cast<std::ptrdiff_t>(q * groups));
    }
  }
  return lanes;
}

}  // namespace guda::jobs
