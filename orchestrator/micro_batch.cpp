#include "orchestrator/micro_batch.hpp"

#include <algorithm>
#include <variant>

#include "jobs/experiment_json.hpp"
#include "jobs/planner.hpp"
#include "orchestrator/job_story.hpp"
#include "orchestrator/prepare_run.hpp"
#include "orchestrator/run_history.hpp"
#include "orchestrator/run_store.hpp"

namespace guda::orchestrator {
namespace {

bool makes_model(const jobs::Work& work) {
  return std::holds_alternative<jobs::TrainSpec>(work) || std::holds_alternative<jobs::UnlearnSpec>(work);
}

/// Rows that a job which makes a model computes at once; 0: there are none to divide.
std::uint32_t rows_at_once(const jobs::Work& work) {
  const std::uint32_t gang = jobs::gang_of(work);  // each member has its share of the rows
  const auto divided = [&](const auto& config, std::uint32_t micro_batch) {
    const std::uint32_t share = (jobs::step_rows(config) + gang - 1) / gang;
    return micro_batch > 0 ? std::min(micro_batch, share) : share;
  };
  if (const auto* train = std::get_if<jobs::TrainSpec>(&work)) return divided(train->training, train->micro_batch);
  if (const auto* unlearn = std::get_if<jobs::UnlearnSpec>(&work))
    return divided(unlearn->unlearn, unlearn->micro_batch);
  return 0;
}

jobs::Plan with_micro_batch(const jobs::Plan& plan, std::uint32_t micro_batch) {
  jobs::Numerics numerics = plan.numerics;
  numerics.micro_batch = micro_batch;
  return jobs::make_plan(plan.experiment, jobs::load_dataset(plan.experiment.dataset), numerics);
}

}  // namespace

std::optional<jobs::Plan> plan_with_half_the_rows(const RunLayout& run, const jobs::Plan& plan) {
  const JournalContent journal = read_journal(run.journal(), MissingLives::report);
  const std::vector<bool> given_up = quarantined_jobs(plan, journal);
  const std::vector<bool> settled = settled_jobs(plan, commits_of(journal), artifact_folders(run));
  std::vector<bool> hungry(plan.jobs.size(), false);
  for (const PastFailure& failure : history_of(journal, plan).failures)
    hungry[failure.job.value] = failure.error == ErrorClass::out_of_memory;
  std::uint32_t rows = 0;
  for (std::size_t i = 0; i < plan.jobs.size(); ++i) {
    if (settled[i] && makes_model(plan.jobs[i].work)) return std::nullopt;
    if (hungry[i] && given_up[i]) rows = std::max(rows, rows_at_once(plan.jobs[i].work));
  }
  if (rows < 2) return std::nullopt;
  return with_micro_batch(plan, rows / 2);
}

jobs::Plan plan_with_the_rows_so_far(const RunLayout& run, jobs::Plan plan) {
  if (!std::filesystem::exists(run.plan())) return plan;
  const jobs::Plan before = load_plan(run);
  if (before.numerics.micro_batch == plan.numerics.micro_batch) return plan;
  if (Json(before.experiment.resources) != Json(plan.experiment.resources)) return plan;
  return with_micro_batch(plan, before.numerics.micro_batch);
}

}  // namespace guda::orchestrator
