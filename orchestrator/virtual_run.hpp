#pragma once
// The real scheduler in virtual time: what a plan costs before anything is paid for.
#include <vector>

#include "orchestrator/scheduler.hpp"

namespace guda::orchestrator {

struct VirtualRun {
  double makespan = 0;      ///< s from the first lease to the last commit
  double utilisation = 0;   ///< busy worker-seconds / (workers * makespan)
};

/// Runs `jobs` on `workers` identical workers whose jobs take exactly their predicted cost and never fail.
[[nodiscard]] VirtualRun run_virtually(const std::vector<JobNode>& jobs, const std::vector<bool>& committed, std::uint32_t workers);

}  // namespace guda::orchestrator
