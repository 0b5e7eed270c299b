#include "orchestrator/stages.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <map>
#include <thread>
#include <utility>

#include "common/clock.hpp"
#include "common/error.hpp"
#include "common/row_segment.hpp"
#include "jobs/dataset.hpp"
#include "jobs/planner.hpp"
#include "jobs/race.hpp"
#include "orchestrator/micro_batch.hpp"
#include "orchestrator/pilot_stage.hpp"
#include "orchestrator/progress.hpp"
#include "orchestrator/run_store.hpp"

namespace guda::orchestrator {
namespace {

jobs::Plan with_race(const jobs::Plan& plan, const std::vector<jobs::RaceLane>& race) {
  return jobs::make_plan(plan.experiment, jobs::load_dataset(plan.experiment.dataset), plan.numerics, false,
                         plan.pilot_spread, race);
}

jobs::Plan plan_with_the_rounds_so_far(const RunLayout& run, jobs::Plan plan) {
  if (plan.race.empty() || !std::filesystem::exists(run.plan())) return plan;
  const jobs::Plan before = load_plan(run);
  const std::vector<jobs::RaceLane> lanes = jobs::lanes_so_far(plan, before);
  return lanes == plan.race ? plan : with_race(plan, lanes);
}

/// Losses of one lane, [group, query, slot]; NaN where not scored.
using LaneLosses = std::vector<float>;

/// Rows of the plan's race jobs by lane; nothing while any of them is missing.
std::optional<std::vector<LaneLosses>> losses_of_lanes(const RunLayout& run, const jobs::Plan& plan, double patience) {
  const auto commits = commits_of(read_journal(run.journal(), MissingLives::report));
  const std::size_t slots = plan.slots.size(), queries = plan.queries.size(), per_set = slots / 2;
  std::vector<LaneLosses> lanes(
      plan.race.size(), LaneLosses(plan.groups.size() * queries * slots, std::numeric_limits<float>::quiet_NaN()));
  const double give_up_at = steady_seconds() + patience;
  for (const jobs::JobSpec& job : plan.jobs) {
    const auto* score = std::get_if<jobs::ScoreSpec>(&job.work);
    if (score == nullptr || job.placements.empty()) continue;
    const auto commit = commits.find(job.digest);
    if (commit == commits.end()) return std::nullopt;
    std::optional<RowRecord> record;
    while (!record) {
      try {
        record = read_row_record(run.rows(), commit->second.rows);
        check_shape(plan, job, *record);
      } catch (const IoError&) {
        record.reset();
        if (steady_seconds() >= give_up_at) return std::nullopt;
        std::this_thread::sleep_for(std::chrono::milliseconds(250));
      }
    }
    for (const jobs::Placement& at : job.placements) {
      for (std::size_t lane = 0; lane < lanes.size(); ++lane) {
        if (plan.race[lane].rows != at.method || plan.race[lane].draw_set != at.slot / per_set) continue;
        for (std::uint32_t r = 0; r < record->rows; ++r) {
          const std::size_t row = std::size_t{at.group} * queries + jobs::query_of_row(*score, at, r);
          std::copy_n(record->losses.begin() + std::ptrdiff_t{r} * record->columns, record->columns,
                      lanes[lane].begin() + static_cast<std::ptrdiff_t>(row * slots + at.slot));
        }
      }
    }
  }
  return lanes;
}

std::optional<jobs::Plan> plan_after_round(const RunLayout& run, const jobs::Plan& plan, double patience) {
  const auto losses = losses_of_lanes(run, plan, patience);
  if (!losses) return std::nullopt;
  const std::size_t slots = plan.slots.size(), queries = plan.queries.size();
  std::vector<jobs::RaceLane> lanes;
  for (std::size_t lane = 0; lane < plan.race.size(); ++lane) {
    const LaneLosses& mine = (*losses)[lane];
    lanes.push_back(jobs::with_next_round(plan, plan.race[lane], [&](std::size_t q) {
      return [&mine, slots, queries, q](std::size_t k, std::size_t s) {
        return static_cast<double>(mine[(k * queries + q) * slots + s]);
      };
    }));
  }
  return with_race(plan, lanes);
}

jobs::Plan priced(const PlannedExperiment& planned, const std::vector<jobs::RaceLane>& race) {
  const jobs::Plan& plan = planned.plan;
  const jobs::DatasetConfig& data = plan.experiment.dataset;
  const jobs::Dataset dataset = planned.data_read ? jobs::load_dataset(data) : jobs::published_dataset(data);
  if (jobs::awaits_pilot(plan))
    return jobs::make_provisional_plan(plan.experiment, dataset, plan.numerics, /*weights_may_be_missing=*/true, race);
  return jobs::make_plan(plan.experiment, dataset, plan.numerics, /*weights_may_be_missing=*/true, plan.pilot_spread,
                         race);
}

/// Every lane through `change`.
template <class Change>
jobs::Plan with_lanes(const PlannedExperiment& planned, Change change) {
  const jobs::Plan whole = jobs::awaits_pilot(planned.plan) ? priced(planned, {}) : planned.plan;
  std::vector<jobs::RaceLane> lanes;
  for (const jobs::RaceLane& lane : whole.race) lanes.push_back(change(whole, lane));
  return lanes.empty() ? whole : priced(planned, lanes);
}

}  // namespace

jobs::Plan plan_so_far(const RunLayout& run, jobs::Plan plan) {
  return plan_with_the_rounds_so_far(run,
                                     plan_with_the_pilot_so_far(run, plan_with_the_rows_so_far(run, std::move(plan))));
}

std::optional<jobs::Plan> plan_next_stage(const RunLayout& run, const jobs::Plan& plan, double patience) {
  if (!jobs::awaits_next_stage(plan)) return std::nullopt;
  return jobs::awaits_pilot(plan) ? plan_after_pilot(run, plan, patience) : plan_after_round(run, plan, patience);
}

std::string describe_stage(const jobs::Plan& before, const PlanChange& change, const jobs::Plan& next) {
  const std::string added =
      fmt::format("{} jobs added, about {} of device-time", change.added.size(), duration_text(change.added_cost));
  if (jobs::awaits_pilot(before))
    return fmt::format("the pilot is done: {} slots are drawn where the noise is; {}", next.slots.size(), added);
  const jobs::ScoringConfig& scoring = next.experiment.scoring;
  const std::vector<std::uint32_t> ends = jobs::round_ends(scoring);
  std::string text = "the race to " + scoring.until + ":";
  for (std::size_t i = 0; i < next.race.size(); ++i) {
    const jobs::RaceLane& lane = next.race[i];
    std::size_t on = 0, cells = 0;
    std::uint32_t round = 0;
    for (std::size_t q = 0; q < lane.finished.size(); ++q)
      round = std::max(round, jobs::latest_round(lane, q, next.groups.size()));
    for (std::size_t q = 0; q < lane.finished.size(); ++q) {
      std::size_t mine = 0;
      for (std::size_t k = 0; k < next.groups.size(); ++k) {
        const std::size_t at = q * next.groups.size() + k;
        mine += lane.rounds[at] > before.race.at(i).rounds[at] ? 1 : 0;
      }
      on += mine > 0 ? 1 : 0;
      cells += mine;
    }
    text += fmt::format("\n  {} (draws {}): {} of {} queries race on with {:.3g} groups each, to unit {} of {}",
                        lane.rows, lane.draw_set, on, lane.finished.size(), on > 0 ? double(cells) / double(on) : 0.0,
                        ends.at(round - 1), ends.back());
  }
  return text + "\n  " + added;
}

bool enter_next_stages(const RunLayout& run, PlannedExperiment& planned, double patience,
                       const std::function<void(const std::string&)>& note) {
  while (auto next = plan_next_stage(run, planned.plan, patience)) {
    const jobs::Plan before = std::exchange(planned.plan, std::move(*next));
    const PlanChange change = install_plan(run, planned, /*extend=*/true);
    note(describe_stage(before, change, planned.plan));
    const auto settled = settled_jobs(planned.plan, commits_of(read_journal(run.journal())), artifact_folders(run));
    if (std::find(settled.begin(), settled.end(), false) != settled.end()) return true;
  }
  return false;
}

jobs::Plan plan_to_price(const PlannedExperiment& planned) { return with_lanes(planned, jobs::to_the_end); }

jobs::Plan cheapest_plan(const PlannedExperiment& planned) {
  return with_lanes(planned, [](const jobs::Plan&, const jobs::RaceLane& lane) { return jobs::ended_here(lane); });
}

}  // namespace guda::orchestrator
