#pragma once
// What races have decided (jobs/race.hpp), from the stored losses. Pure; any thread.
#include <cstdint>
#include <string>
#include <vector>

#include "common/json.hpp"
#include "jobs/plan.hpp"
#include "orchestrator/results_file.hpp"

namespace guda::orchestrator {

/// The races of one method on one draw set.
struct RaceOutcome {
  std::string method;
  std::uint32_t draw_set = 0;
  std::vector<std::uint8_t> decided;  ///< [query]
  std::vector<std::int32_t> place;    ///< [query, group], as Race::places()
  std::vector<std::int32_t> slots;    ///< [query, group]: forwards that were spent, without the full model's
};

/// In the order of the plan's lanes; none where nothing is raced for.
[[nodiscard]] std::vector<RaceOutcome> race_outcomes(const ResultsTable& table, const jobs::Plan& plan);

/// What a lane decided and what it cost, for people and programs.
struct RaceSummary {
  std::string method;
  std::uint32_t draw_set = 0;
  std::size_t queries = 0;             ///< scored at all
  std::vector<std::string> undecided;  ///< names of those that are not decided (yet)
  /// Forwards of the counterfactual models: spent, of all `slots`, and of one visit of every timestep of the grid.
  double forwards = 0, all_slots = 0, grid = 0;
};

/// The races of a run.
struct RaceReport {
  std::string until;  ///< empty: nothing is raced for
  std::string weighting;
  double confidence = 0;
  bool over = true;  ///< false: more rounds may follow
  std::vector<RaceSummary> lanes;
};
[[nodiscard]] RaceReport race_report(const ResultsTable& table, const jobs::Plan& plan);

/// `race` of `guda compare --json`; null where nothing is raced for.
[[nodiscard]] Json to_json(const RaceReport& report);
/// The same for people; empty where nothing is raced for.
[[nodiscard]] std::string race_text(const RaceReport& report);

/// Fills race_decided__, race_place__ and race_slots__ of results.h5, from the draws that main_scores() takes.
void write_race_outcomes(ResultsFile& file, const ResultsTable& table, const jobs::Plan& plan);

}  // namespace guda::orchestrator
