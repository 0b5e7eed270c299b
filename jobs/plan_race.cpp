// The part of PlanBuilder that scores in rounds (jobs/race.hpp).
#include <fmt/format.h>

#include <algorithm>

#include "jobs/plan_builder.hpp"
#include "jobs/race.hpp"
#include "jobs/slot_lists.hpp"

namespace guda::jobs {

PlanBuilder::ScoredBlock PlanBuilder::round_of_race(const SetBlock& block, std::uint32_t draw_set,
                                                    std::uint32_t round) const {
  const ScoringConfig& scoring = plan_.experiment.scoring;
  const std::vector<std::uint32_t> ends = round_ends(scoring);
  const std::uint32_t from = round == 1 ? 0 : ends[round - 2], to = ends[round - 1], unit = slots_of_unit(scoring);
  const auto first = static_cast<std::uint32_t>(draw_set * slots_of_set(scoring));
  return {block, {}, first + from * unit, (to - from) * unit, fmt::format(", units {} to {}", from + 1, to)};
}

void PlanBuilder::race(const ScoredModel& model) {
  const auto rounds = static_cast<std::uint32_t>(round_ends(plan_.experiment.scoring).size());
  const std::size_t groups = plan_.groups.size(), group = static_cast<std::size_t>(model.group);
  const bool waits = plan_.slots.empty();  // for the pilot
  auto lane = std::find_if(plan_.race.begin(), plan_.race.end(), [&](const RaceLane& known) {
    return known.rows == model.rows && known.draw_set == model.draw_set;
  });
  if (lane == plan_.race.end()) lane = plan_.race.insert(lane, first_round(plan_, model.rows, model.draw_set));
  for (const SetBlock& of : blocks_of_seed(model.run_seed)) {
    const QueryBlock& block = plan_.blocks[of.block];
    for (std::uint32_t round = 1; round <= rounds; ++round) {
      ScoredBlock planned = round_of_race(of, model.draw_set, round), later = planned;
      for (std::uint32_t q = block.first; q < block.first + block.count; ++q) {
        const std::uint32_t mine = lane->rounds[q * groups + group];
        if (mine >= round) planned.queries.push_back(q);
        else if (lane->finished[q] == 0 && mine == latest_round(*lane, q, groups)) later.queries.push_back(q);
      }
      if (waits) later.queries.insert(later.queries.end(), planned.queries.begin(), planned.queries.end());
      if (!waits && !planned.queries.empty()) score_block(model, planned);
      if (!later.queries.empty()) postpone(model, later);
    }
  }
}

void PlanBuilder::follow_races(const ScoredModel& full) {
  const auto rounds = static_cast<std::uint32_t>(round_ends(plan_.experiment.scoring).size());
  const std::size_t groups = plan_.groups.size();
  const bool waits = plan_.slots.empty();
  const auto follows = [&](const RaceLane& lane) {
    const std::string own = "full__" + lane.rows;
    const bool has_own =
        std::any_of(followers_.begin(), followers_.end(), [&](const ScoredModel& f) { return f.rows == own; });
    return lane.draw_set == full.draw_set && full.rows == (has_own ? own : "full");
  };
  for (const SetBlock& of : blocks_of_seed(full.run_seed)) {
    const QueryBlock& block = plan_.blocks[of.block];
    for (std::uint32_t round = 1; round <= rounds; ++round) {
      // A lane asks for what none before it does: methods that are added later leave the jobs as they were.
      std::vector<char> asked(block.count, 0);
      ScoredBlock later = round_of_race(of, full.draw_set, round);
      for (const RaceLane& lane : plan_.race) {
        if (!follows(lane)) continue;
        ScoredBlock planned = round_of_race(of, full.draw_set, round);
        for (std::uint32_t i = 0; i < block.count; ++i) {
          const std::uint32_t q = block.first + i, latest = latest_round(lane, q, groups);
          if (asked[i] == 1) continue;
          if (latest >= round) {
            planned.queries.push_back(q);
            asked[i] = 1;
          } else if (lane.finished[q] == 0) {
            asked[i] = 2;
          }
        }
        if (waits) later.queries.insert(later.queries.end(), planned.queries.begin(), planned.queries.end());
        if (!waits && !planned.queries.empty()) score_block(full, planned);
      }
      for (std::uint32_t i = 0; i < block.count; ++i) {
        if (asked[i] == 2) later.queries.push_back(block.first + i);
      }
      if (!later.queries.empty()) postpone(full, later);
    }
  }
}

}  // namespace guda::jobs
