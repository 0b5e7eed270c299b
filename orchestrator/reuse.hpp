#pragma once
// reuse: [other runs]: artifacts of equal digest are taken from there instead of being computed again.
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "jobs/plan.hpp"
#include "orchestrator/run_layout.hpp"

namespace guda::orchestrator {

struct Reused {
  std::uint64_t artifacts = 0;        ///< linked by this call
  double device_seconds = 0;          ///< predicted cost of making them
  std::vector<std::string> rejected;  ///< artifacts that are damaged over there, one line each: computed here instead
};

/// Artifact folders of the runs that the experiment reuses. Throws Error naming the key for what is no run directory.
[[nodiscard]] std::vector<std::filesystem::path> reused_folders(const jobs::Plan& plan);

/// Verifies (common/checksums.hpp) what the plan needs and the other runs have, and links it into artifacts/. Needs the
/// run's lock. What is linked already is left alone; links to what is gone are removed.
Reused link_reused(const RunLayout& run, const jobs::Plan& plan);

}  // namespace guda::orchestrator
