#include "orchestrator/race_outcome.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "jobs/race.hpp"
#include "jobs/slot_lists.hpp"
#include "jobs/weighting.hpp"
#include "orchestrator/group_scores.hpp"

namespace guda::orchestrator {

std::vector<RaceOutcome> race_outcomes(const ResultsTable& table, const jobs::Plan& plan) {
  const std::size_t queries = table.queries(), groups = table.groups(), slots = table.slots();
  std::vector<RaceOutcome> outcomes;
  for (const jobs::RaceLane& lane : plan.race) {
    const auto found = table.losses.find(lane.rows);
    if (found == table.losses.end()) continue;
    const std::vector<float>& losses = found->second;
    const std::size_t per_set = jobs::slots_of_set(plan.experiment.scoring), first = lane.draw_set * per_set;
    RaceOutcome outcome{.method = lane.rows,
                        .draw_set = lane.draw_set,
                        .decided = std::vector<std::uint8_t>(queries, 0),
                        .place = std::vector<std::int32_t>(queries * groups, 0),
                        .slots = std::vector<std::int32_t>(queries * groups, 0)};
    for (std::size_t q = 0; q < queries; ++q) {
      const Race race = jobs::replay_race(
          plan, lane.draw_set, jobs::most_units(plan.experiment.scoring),
          [&](std::size_t k, std::size_t s) -> double { return losses[(k * queries + q) * slots + s]; });
      outcome.decided[q] = race.decided() ? 1 : 0;
      const std::vector<int> places = race.places();
      for (std::size_t k = 0; k < groups; ++k) {
        outcome.place[q * groups + k] = places[k];
        const auto begin = losses.begin() + static_cast<std::ptrdiff_t>((k * queries + q) * slots + first);
        outcome.slots[q * groups + k] = static_cast<std::int32_t>(std::count_if(
            begin, begin + static_cast<std::ptrdiff_t>(per_set), [](float loss) { return std::isfinite(loss); }));
      }
    }
    outcomes.push_back(std::move(outcome));
  }
  return outcomes;
}

RaceReport race_report(const ResultsTable& table, const jobs::Plan& plan) {
  const jobs::ScoringConfig& scoring = plan.experiment.scoring;
  RaceReport report;
  if (!jobs::races(scoring)) return report;
  report.until = scoring.until;
  report.weighting = jobs::weightings_of(plan.experiment).front().name;
  report.confidence = scoring.confidence;
  report.over = !jobs::awaits_next_stage(plan);
  const double members = scoring.antithetic ? 2 : 1, points = double(jobs::scored_timesteps(scoring).size());
  for (const RaceOutcome& outcome : race_outcomes(table, plan)) {
    RaceSummary lane{.method = outcome.method, .draw_set = outcome.draw_set, .undecided = {}};
    for (std::size_t q = 0; q < table.queries(); ++q) {
      std::int64_t spent = 0;
      for (std::size_t k = 0; k < table.groups(); ++k) spent += outcome.slots[q * table.groups() + k];
      if (spent == 0) continue;
      ++lane.queries;
      lane.forwards += double(spent);
      if (outcome.decided[q] == 0) lane.undecided.push_back(table.shape.queries[q].name);
    }
    const double cells = double(lane.queries) * double(table.groups());
    lane.all_slots = cells * double(jobs::slots_of_set(scoring));
    lane.grid = cells * points * members;
    report.lanes.push_back(std::move(lane));
  }
  return report;
}

Json to_json(const RaceReport& report) {
  if (report.until.empty()) return nullptr;
  Json lanes = Json::array();
  for (const RaceSummary& lane : report.lanes) {
    lanes.push_back({{"method", lane.method},
                     {"draw_set", lane.draw_set},
                     {"queries", lane.queries},
                     {"decided", lane.queries - lane.undecided.size()},
                     {"undecided", lane.undecided},
                     {"forwards", lane.forwards},
                     {"forwards_of_all_slots", lane.all_slots},
                     {"forwards_of_a_grid", lane.grid}});
  }
  return {{"until", report.until},
          {"weighting", report.weighting},
          {"confidence", report.confidence},
          {"over", report.over},
          {"races", std::move(lanes)}};
}

std::string race_text(const RaceReport& report) {
  if (report.until.empty()) return "";
  std::string text = fmt::format("races to {} ({} weights, confidence {:g}{})\n", report.until, report.weighting,
                                 report.confidence, report.over ? "" : "; rounds still to come");
  std::size_t width = 6;
  for (const RaceSummary& lane : report.lanes) width = std::max(width, lane.method.size());
  text += fmt::format("{:<{}}  {:>5}  {:>7}  {:>9}  {:>23}  {:>13}\n", "method", width, "draws", "decided", "undecided",
                      "forwards, of all slots", "of a 1x grid");
  for (const RaceSummary& lane : report.lanes) {
    text += fmt::format("{:<{}}  {:>5}  {:>7}  {:>9}  {:>23.3f}  {:>13.3f}\n", lane.method, width, lane.draw_set,
                        lane.queries - lane.undecided.size(), lane.undecided.size(),
                        lane.all_slots > 0 ? lane.forwards / lane.all_slots : 0.0,
                        lane.grid > 0 ? lane.forwards / lane.grid : 0.0);
  }
  return text +
         "undecided: not known at this confidence after all slots; metrics above take the best guess, and places that "
         "no race asks\n  for are less sure than its own\n";
}

void write_race_outcomes(ResultsFile& file, const ResultsTable& table, const jobs::Plan& plan) {
  for (const RaceOutcome& outcome : race_outcomes(table, plan)) {
    const bool reference = is_reference(plan.experiment, outcome.method);
    if (outcome.draw_set != (reference ? jobs::kOracleDraws : jobs::kMethodDraws)) continue;
    file.write_race(outcome.method, outcome.decided, outcome.place, outcome.slots);
  }
}

}  // namespace guda::orchestrator
