#include "orchestrator/reuse.hpp"

#include <fmt/format.h>

#include "common/checksums.hpp"
#include "common/error.hpp"
#include "common/files.hpp"
#include "orchestrator/run_store.hpp"

namespace guda::orchestrator {
namespace fs = std::filesystem;

std::vector<fs::path> reused_folders(const jobs::Plan& plan) {
  std::vector<fs::path> folders;
  for (const fs::path& other : plan.experiment.reuse) {
    const RunLayout run{other};
    if (!fs::exists(run.plan())) {
      throw Error("reuse: " + other.string() +
                  " is no run directory (no plan.json). Cure: name the directory that guda run made, or drop the key.");
    }
    for (const fs::path& folder : artifact_folders(run)) folders.push_back(fs::absolute(folder).lexically_normal());
  }
  return folders;
}

Reused link_reused(const RunLayout& run, const jobs::Plan& plan) {
  Reused reused;
  const auto folders = reused_folders(plan);
  for (const jobs::JobSpec& job : plan.jobs) {
    if (!leaves_artifact(job.work)) continue;
    const fs::path here = run.artifacts() / job.digest.hex;
    if (fs::exists(here)) continue;
    std::error_code code;
    fs::remove(here, code);  // a link whose artifact is gone
    for (const fs::path& folder : folders) {
      const fs::path there = folder / job.digest.hex;
      if (!fs::is_directory(there)) continue;
      if (const auto faults = check_checksums(there); !faults.empty()) {
        reused.rejected.push_back(fmt::format("{}: {}", there.string(), faults.front()));
        continue;
      }
      fs::create_directory_symlink(fs::canonical(there), here, code);
      if (code) throw IoError(errno_text("cannot link", here, code.value()));
      ++reused.artifacts;
      reused.device_seconds += job.cost * jobs::gang_of(job.work);
      break;
    }
  }
  if (reused.artifacts > 0) sync_directory(run.artifacts());
  return reused;
}

}  // namespace guda::orchestrator
