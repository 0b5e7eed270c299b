#include "orchestrator/pilot_stage.hpp"

#include <chrono>
#include <thread>

#include "common/clock.hpp"
#include "common/error.hpp"
#include "common/row_segment.hpp"
#include "jobs/dataset.hpp"
#include "jobs/pilot.hpp"
#include "jobs/planner.hpp"
#include "orchestrator/run_store.hpp"

namespace guda::orchestrator {
namespace {

std::vector<Digest> pilot_digests(const jobs::Plan& plan) {
  std::vector<Digest> digests;
  for (const std::size_t i : jobs::pilot_jobs(plan)) digests.push_back(plan.jobs[i].digest);
  return digests;
}

jobs::Plan second_stage(const jobs::Plan& plan, const std::vector<double>& spread) {
  return jobs::make_plan(plan.experiment, jobs::load_dataset(plan.experiment.dataset), plan.numerics, false, spread);
}

}  // namespace

jobs::Plan plan_with_the_pilot_so_far(const RunLayout& run, jobs::Plan plan) {
  if (!jobs::awaits_pilot(plan) || !std::filesystem::exists(run.plan())) return plan;
  const jobs::Plan before = load_plan(run);
  if (before.pilot_spread.empty() || pilot_digests(before) != pilot_digests(plan)) return plan;
  return second_stage(plan, before.pilot_spread);
}

std::optional<jobs::Plan> plan_after_pilot(const RunLayout& run, const jobs::Plan& plan, double patience) {
  if (!jobs::awaits_pilot(plan)) return std::nullopt;
  const auto commits = commits_of(read_journal(run.journal(), MissingLives::report));
  std::vector<std::vector<float>> losses;
  const double give_up_at = steady_seconds() + patience;
  for (const std::size_t i : jobs::pilot_jobs(plan)) {
    const auto commit = commits.find(plan.jobs[i].digest);
    if (commit == commits.end()) return std::nullopt;
    while (true) {
      try {
        RowRecord record = read_row_record(run.rows(), commit->second.rows);
        check_shape(plan, plan.jobs[i], record);
        losses.push_back(std::move(record.losses));
        break;
      } catch (const IoError&) {
        if (steady_seconds() >= give_up_at) return std::nullopt;
        std::this_thread::sleep_for(std::chrono::milliseconds(250));
      }
    }
  }
  return second_stage(plan, jobs::pilot_spread(plan, losses));
}

}  // namespace guda::orchestrator
