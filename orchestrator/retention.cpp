#include "orchestrator/retention.hpp"

#include <filesystem>

namespace guda::orchestrator {
namespace fs = std::filesystem;

bool artifact_kept(const jobs::JobSpec& job, const std::string& keep) {
  if (keep == "all") return true;
  const auto* sample = std::get_if<jobs::SampleSpec>(&job.work);
  const bool query_set = sample != nullptr && sample->set.name != jobs::kPreviewSet;
  if (keep == "weights") return query_set || std::holds_alternative<jobs::TrainSpec>(job.work);
  if (keep == "queries+scores") return query_set;
  return false;
}

Freed apply_retention(const RunLayout& run, const jobs::Plan& plan) {
  Freed freed;
  for (const jobs::JobSpec& job : plan.jobs) {
    const fs::path folder = run.artifacts() / job.digest.hex;
    if (artifact_kept(job, plan.experiment.retention.keep) || !fs::exists(folder)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
      if (entry.is_regular_file()) freed.bytes += entry.file_size();
    }
    ++freed.artifacts;
    // Renamed first: a reader finds the artifact whole or not at all.
    const fs::path going = folder.string() + ".removed";
    fs::rename(folder, going);
    fs::remove_all(going);
  }
  return freed;
}

}  // namespace guda::orchestrator
