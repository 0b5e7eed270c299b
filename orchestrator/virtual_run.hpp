#pragma once
// The real scheduler in virtual time: what a plan costs before anything is paid for, and how a million jobs would go.
#include <cstdint>
#include <vector>

#include "orchestrator/scheduler.hpp"

namespace guda::orchestrator {

struct VirtualOptions {
  std::uint32_t workers = 1;
  std::uint32_t workers_per_node = 1;
  double life = 0;                  ///< s of walltime that jobs may use in each life; 0: no limit
  double startup = 0;               ///< s until the workers of a life say hello
  double requeue = 0;               ///< s between two lives
  double spread = 0;                ///< durations are uniform in cost * [1 - spread, 1 + spread]
  double failures = 0;              ///< share of attempts that crash somewhere in their middle
  std::uint32_t broken_worker = 0;  ///< every attempt on this worker (from 1) crashes after a hundredth of it; 0: none
  double checkpoint = 0;            ///< s between two checkpoints of jobs that make them; 0: a job cut off starts again
  std::uint64_t seed = 0;
  std::vector<double> seconds;  ///< what each job really takes; empty: its cost. The scheduler knows the costs only
};

struct VirtualRun {
  double makespan = 0;                 ///< s from the first life's start to the last commit, requeues included
  double utilisation = 0;              ///< busy worker-seconds / (workers * makespan without requeues)
  double utilisation_before_tail = 0;  ///< the same up to the moment when nothing was left to start
  std::uint32_t lives = 0;
  std::uint64_t events = 0;  ///< that the scheduler handled
  std::uint64_t failures = 0, quarantined = 0;
  std::uint64_t broken_failures = 0;  ///< of failures: on the broken worker
  double lost_seconds = 0;            ///< worker-seconds of attempts that crashed or were cut off
  bool finished = false;              ///< false: a life passed without a commit (a job is longer than the walltime)
};

/// Runs `jobs` on identical workers until all are done. Without `spread` and `failures` every job takes exactly its
/// cost. `committed` are the jobs that are done already; `checkpoints[i]` says whether a job that is cut off goes on
/// from its last checkpoint (empty: none does).
[[nodiscard]] VirtualRun run_virtually(const HugeVector<JobNode>& jobs, std::vector<bool> committed,
                                       const VirtualOptions& options, const std::vector<bool>& checkpoints = {});

}  // namespace guda::orchestrator
