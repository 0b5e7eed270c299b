#pragma once
// What a run does whose models do not fit into memory: it computes half as many rows at once. That rounds sums
// otherwise, so all models of a sweep must be made the same way, and it is only done while none is finished.
#include <optional>

#include "jobs/plan.hpp"
#include "orchestrator/run_layout.hpp"

namespace guda::orchestrator {

/// The plan with half the rows at once, when training or unlearning was given up because memory ran out and no model of
/// the plan is finished. Nothing else: the cure in the failure's message is a person's then. Reads journal and data
/// set.
[[nodiscard]] std::optional<jobs::Plan> plan_with_half_the_rows(const RunLayout& run, const jobs::Plan& plan);

/// `plan` as this run goes on with it: with the rows at once that an earlier call halved, unless the experiment has
/// been edited since.
[[nodiscard]] jobs::Plan plan_with_the_rows_so_far(const RunLayout& run, jobs::Plan plan);

}  // namespace guda::orchestrator
