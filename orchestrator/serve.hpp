#pragma once
// The coordinator's shell: polls the channel, feeds events to the scheduler, performs its actions. One thread.
#include <atomic>
#include <vector>

#include "common/channel.hpp"
#include "jobs/plan.hpp"
#include "orchestrator/life.hpp"
#include "orchestrator/run_layout.hpp"
#include "orchestrator/scheduler_events.hpp"

namespace guda::orchestrator {

/// The plan's jobs as the scheduler sees them.
[[nodiscard]] HugeVector<JobNode> nodes_of(const jobs::Plan& plan);

/// Runs the plan to its end or until `stop` is set. Returns the exit code of the run (architecture 6) and writes it
/// into status.json. Throws IoError when the journal can't be made durable: nothing after the last sync counts.
[[nodiscard]] int serve(Channel& channel, const RunLayout& run, const jobs::Plan& plan, const Life& life,
                        const std::atomic<int>& stop);

}  // namespace guda::orchestrator
