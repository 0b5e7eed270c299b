#pragma once
// What stays on disk when a run is complete (retention.keep of the experiment).
#include <cstdint>

#include "jobs/plan.hpp"
#include "orchestrator/run_layout.hpp"

namespace guda::orchestrator {

struct Freed {
  std::uint64_t artifacts = 0, bytes = 0;
};

/// Whether the artifact of a job stays under `keep`.
[[nodiscard]] bool artifact_kept(const jobs::JobSpec& job, const std::string& keep);

/// Removes artifacts that the policy does not keep: `scores` drops all, `queries+scores` drops weights, `weights` drops
/// unlearned weights and previews (they are cheap to make again), `all` drops nothing. Only for complete runs.
Freed apply_retention(const RunLayout& run, const jobs::Plan& plan);

}  // namespace guda::orchestrator
