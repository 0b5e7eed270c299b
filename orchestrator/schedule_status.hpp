#pragma once
// What status.json says of a life that is at work: who writes it, and what the scheduler knows.
#include <cstdint>
#include <functional>

#include "common/protocol.hpp"
#include "jobs/plan.hpp"
#include "orchestrator/life.hpp"
#include "orchestrator/run_status.hpp"
#include "orchestrator/scheduler.hpp"

namespace guda::orchestrator {

/// The last heartbeat of a worker that the scheduler knows.
using BeatOf = std::function<const message::Beat&(WorkerId)>;

/// A status written by this process for a life, with nothing in it yet.
[[nodiscard]] RunStatus status_of_life(const Life& life, std::uint64_t sequence);

/// Adds counts of jobs, workers, fences, progress and ETA. Reads `status.device_seconds`. A worker whose process has
/// done nothing for `suspect_after` seconds is frozen.
void add_schedule(RunStatus& status, const Scheduler& scheduler, const jobs::Plan& plan, const BeatOf& beat_of,
                  double suspect_after);

}  // namespace guda::orchestrator
