#pragma once
// What stays on disk when a run is complete (retention.keep of the experiment).
#include <cstdint>
#include <filesystem>
#include <vector>

#include "jobs/plan.hpp"
#include "orchestrator/run_layout.hpp"

namespace guda::orchestrator {

struct Freed {
  std::uint64_t artifacts = 0, bytes = 0;
};

/// Whether the artifact of a job stays under `keep`: `scores` keeps none, `queries+scores` query sets and previews,
/// `weights` also full and LOGO models (unlearned ones are cheap to make again), `all` everything.
[[nodiscard]] bool artifact_kept(const jobs::JobSpec& job, const std::string& keep);

/// Positions of jobs whose artifact is on disk, is not kept by the policy, and is read by settled jobs only.
[[nodiscard]] std::vector<std::size_t> droppable_artifacts(const RunLayout& run, const jobs::Plan& plan,
                                                           const std::vector<bool>& settled);

/// Removes them. Links to artifacts of other runs go, what they point to stays.
Freed apply_retention(const RunLayout& run, const jobs::Plan& plan, const std::vector<bool>& settled);

/// Bytes of a file or of all files below a folder; 0 for a link.
[[nodiscard]] std::uint64_t bytes_below(const std::filesystem::path& path);

}  // namespace guda::orchestrator
