#pragma once
// The second stage of a run with adaptive slots (jobs/pilot.hpp). Nothing of it is remembered but plan.json and the
// journal: whoever starts or goes on with the run plans it from the pilot's committed rows.
#include <optional>

#include "jobs/plan.hpp"
#include "orchestrator/prepare_run.hpp"
#include "orchestrator/run_layout.hpp"

namespace guda::orchestrator {

/// `plan` as this run goes on with it: in the second stage when plan.json is, of the same pilot jobs. What the pilot
/// found then is taken from there, so that rows of it that are lost and made again do not move slots that are scored.
[[nodiscard]] jobs::Plan plan_with_the_pilot_so_far(const RunLayout& run, jobs::Plan plan);

/// The second stage of a plan that awaits its pilot; nothing while the pilot is not committed, or when its rows can't
/// be read within `patience` seconds (network file systems), and for any other plan. Reads journal, rows and data set.
[[nodiscard]] std::optional<jobs::Plan> plan_after_pilot(const RunLayout& run, const jobs::Plan& plan, double patience);

}  // namespace guda::orchestrator
