#pragma once
// Experiment file -> run directory that is ready to be supervised, under the rules for edited experiments
// (docs/formats.md).
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "jobs/dataset.hpp"
#include "jobs/plan.hpp"
#include "orchestrator/run_layout.hpp"

namespace guda::orchestrator {

struct PlannedExperiment {
  jobs::Plan plan;
  std::string text;  ///< of the experiment file, with the overrides as a comment; empty when resumed from plan.json
  bool data_read = true;               ///< false: there is no data set, its counts are the published ones
  std::vector<std::string> skipped{};  ///< pictures that do not decode and were left out, each with the reason
};

/// Loads `file` (an experiment, or a run directory to resume as it is planned), the data set, and plans.
/// `data_may_be_missing`: where CIFAR-10 or UnlearnCanvas is not there its published counts are planned with, and
/// encoders and pipelines need no weights; such a plan can't be run.
[[nodiscard]] PlannedExperiment plan_experiment(const std::filesystem::path& file,
                                                const std::vector<std::string>& overrides,
                                                bool data_may_be_missing = false);

/// What separates the plan of a run directory from a new one.
struct PlanChange {
  std::vector<std::string> keys;     ///< "training.steps: 600 -> 700"
  std::vector<std::string> added;    ///< labels of jobs that only the new plan has
  std::vector<std::string> remade;   ///< labels of finished jobs whose artifact is gone and that the new plan reads
  double added_cost = 0;             ///< predicted device-seconds of those two
  std::vector<std::string> dropped;  ///< labels of *committed* jobs that only the old plan has
};
[[nodiscard]] PlanChange compare_plans(const RunLayout& run, const jobs::Plan& before, const jobs::Plan& after);

/// Makes the run directory (mode 0700) or checks that this plan may go on in it, then writes plan.json. Needs the run's
/// lock when the directory exists. Throws Error with the key-by-key difference when committed jobs would be dropped or
/// altered, when jobs of another version of guda (jobs/job_identity.hpp) would meet those of this one, and with the
/// added jobs and their cost when jobs are added without `extend`. Returns what `extend` added to a run that had begun;
/// nothing for a new run and for one that goes on as it was planned.
PlanChange install_plan(const RunLayout& run, const PlannedExperiment& planned, bool extend);

/// For people: what an extension adds, its cost and the keys that ask for it.
[[nodiscard]] std::string describe_extension(const PlanChange& change);

/// Creates the folders of a run directory.
void make_run_folders(const RunLayout& run);

/// plan.json of a run directory; throws Error naming the cure when this is no run directory.
[[nodiscard]] jobs::Plan load_plan(const RunLayout& run);

}  // namespace guda::orchestrator
