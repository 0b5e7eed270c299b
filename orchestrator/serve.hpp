#pragma once
// The coordinator's shell: polls the channel, feeds events to the scheduler, performs its actions. One thread.
#include <csignal>
#include <string>
#include <vector>

#include "common/channel.hpp"
#include "jobs/plan.hpp"
#include "orchestrator/run_layout.hpp"
#include "orchestrator/scheduler_events.hpp"

namespace guda::orchestrator {

/// One life of a run, as written by the supervisor into life.json.
struct Life {
  std::uint32_t epoch = 0;
  std::string token;
  std::uint32_t threads = 1;
  double beat_every = 5;
  double cancel_grace = 24;     ///< s that a job gets to hand itself back before its worker is killed
  double deadline = 0;          ///< Unix time at which the machines are taken away; 0: none is known
  std::string chaos;            ///< faults on purpose (common/chaos.hpp); empty: none
  double checkpoint_every = 0;  ///< s between checkpoints inside a job; 0: the workers' rule (docs/reliability.md)
  double visible_within = 90;   ///< s that rows of another node may take to appear (network file systems)
  SchedulerConfig scheduler;
};
[[nodiscard]] Json to_json(const Life& life);
[[nodiscard]] Life life_from_json(const Json& json);

/// The plan's jobs as the scheduler sees them.
[[nodiscard]] std::vector<JobNode> nodes_of(const jobs::Plan& plan);

/// Runs the plan to its end or until `stop` is set. Returns the exit code of the run (architecture 6) and writes it
/// into status.json. Throws IoError when the journal can't be made durable: nothing after the last sync counts.
[[nodiscard]] int serve(Channel& channel, const RunLayout& run, const jobs::Plan& plan, const Life& life,
                        const volatile std::sig_atomic_t& stop);

}  // namespace guda::orchestrator
