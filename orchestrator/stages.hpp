#pragma once
// The stages of a run: a pilot's (pilot_stage.hpp), then the rounds of its races (jobs/race.hpp). Nothing of them is
// remembered but plan.json and the journal: whoever starts or goes on with the run plans the next stage from the rows
// that are committed.
#include <functional>
#include <optional>
#include <string>

#include "jobs/plan.hpp"
#include "orchestrator/prepare_run.hpp"
#include "orchestrator/run_layout.hpp"

namespace guda::orchestrator {

/// `plan` as this run goes on with it: with the rows at once, the pilot's findings and the rounds of its races that
/// plan.json has. What was decided then is taken from there, so that rows that are lost and made again do not move it.
[[nodiscard]] jobs::Plan plan_so_far(const RunLayout& run, jobs::Plan plan);

/// The next stage of a plan that awaits one, which may add no job: every place is decided. Nothing while rows of this
/// stage are not committed, or can't be read within `patience` seconds (network file systems), and for any other plan.
/// Reads journal, rows and data set.
[[nodiscard]] std::optional<jobs::Plan> plan_next_stage(const RunLayout& run, const jobs::Plan& plan, double patience);

/// What a stage that begins has found out, for people.
[[nodiscard]] std::string describe_stage(const jobs::Plan& before, const PlanChange& change, const jobs::Plan& next);

/// Plans and installs what the rows of the stages so far ask for, as far as they are there, and tells `note` of it.
/// Whether there is work in it; false also when the last stage has none. Needs the run's lock.
bool enter_next_stages(const RunLayout& run, PlannedExperiment& planned, double patience,
                       const std::function<void(const std::string&)>& note);

/// What an estimate prices: all stages. Slots as a pilot that finds equal noise everywhere would decide on; races as if
/// no place were decided before `slots` are spent, which bounds them from above.
[[nodiscard]] jobs::Plan plan_to_price(const PlannedExperiment& planned);

/// The same with races in which every place is decided by the rows of this stage: the bound from below.
[[nodiscard]] jobs::Plan cheapest_plan(const PlannedExperiment& planned);

}  // namespace guda::orchestrator
