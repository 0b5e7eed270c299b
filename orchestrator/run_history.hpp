#pragma once
// What the scheduler of a new life must know of the lives before: failures, quarantines, fences, what jobs really cost.
#include "jobs/plan.hpp"
#include "orchestrator/journal.hpp"
#include "orchestrator/scheduler_events.hpp"

namespace guda::orchestrator {

/// Index of the job's kind, as JobNode::kind.
[[nodiscard]] std::uint32_t kind_index(const jobs::JobSpec& job);

/// Reads failure, fence and commit records; records of jobs that the plan does not have (any more) are skipped.
[[nodiscard]] History history_of(const JournalContent& journal, const jobs::Plan& plan);

}  // namespace guda::orchestrator
