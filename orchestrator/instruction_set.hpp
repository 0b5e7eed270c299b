#pragma once
// A plan belongs to one instruction set: sums are rounded differently on another, and the jobs' digests say so.
#include <string>

#include "jobs/plan.hpp"
#include "orchestrator/run_layout.hpp"

namespace guda::orchestrator {

/// The plan as the processor of this node (`isa`) can do it. One that was made elsewhere and not begun yet - guda
/// submit on a login node - is made anew for this processor: the first life fixes the instruction set. Throws Error
/// with the cure when it has been begun on another. Plans for GPUs stay as they are.
[[nodiscard]] jobs::Plan plan_for_isa(const RunLayout& run, jobs::Plan plan, const std::string& isa);

}  // namespace guda::orchestrator
