#include "orchestrator/retention.hpp"

#include <unordered_set>

#include "orchestrator/garbage.hpp"

namespace guda::orchestrator {
namespace fs = std::filesystem;

bool artifact_kept(const jobs::JobSpec& job, const std::string& keep) {
  if (keep == "all" || std::holds_alternative<jobs::AttributeSpec>(job.work) ||
      std::holds_alternative<jobs::MirrorSpec>(job.work))
    return true;  // kept instances are scores
  const auto* features = std::get_if<jobs::FeaturesSpec>(&job.work);
  if (features != nullptr && features->kind == "clip" && !features->queries.empty()) return keep != "scores";  // small
  const auto* sample = std::get_if<jobs::SampleSpec>(&job.work);
  const bool pictures = sample != nullptr;  // of query sets, and the few previews that `guda report` shows again
  if (keep == "weights")
    return pictures || (jobs::leaves_weights(job.work) && !std::holds_alternative<jobs::UnlearnSpec>(job.work));
  if (keep == "queries+scores") return pictures;
  return false;
}

std::uint64_t bytes_below(const fs::path& path) {
  std::error_code code;
  const auto kind = fs::symlink_status(path, code);
  if (fs::is_regular_file(kind)) return fs::file_size(path, code);
  std::uint64_t bytes = 0;
  if (!fs::is_directory(kind)) return bytes;
  for (fs::recursive_directory_iterator entry(path, code), end; !code && entry != end; entry.increment(code)) {
    if (entry->is_regular_file(code) && !entry->is_symlink(code)) bytes += entry->file_size(code);
  }
  return bytes;
}

std::vector<std::size_t> droppable_artifacts(const RunLayout& run, const jobs::Plan& plan,
                                             const std::vector<bool>& settled) {
  if (jobs::awaits_next_stage(plan)) return {};  // the next stage's scores read all models
  std::unordered_set<Digest> needed;
  for (std::size_t i = 0; i < plan.jobs.size(); ++i) {
    if (!settled.at(i)) needed.insert(plan.jobs[i].inputs.begin(), plan.jobs[i].inputs.end());
  }
  std::vector<std::size_t> droppable;
  for (std::size_t i = 0; i < plan.jobs.size(); ++i) {
    const jobs::JobSpec& job = plan.jobs[i];
    if (!settled[i] || needed.contains(job.digest) || artifact_kept(job, plan.experiment.retention.keep)) continue;
    if (fs::is_symlink(run.artifacts() / job.digest.hex) || fs::is_directory(run.artifacts() / job.digest.hex))
      droppable.push_back(i);
  }
  return droppable;
}

Freed apply_retention(const RunLayout& run, const jobs::Plan& plan, const std::vector<bool>& settled) {
  Freed freed;
  for (const std::size_t job : droppable_artifacts(run, plan, settled)) {
    const fs::path path = run.artifacts() / plan.jobs[job].digest.hex;
    freed.bytes += bytes_below(path);
    ++freed.artifacts;
    remove_garbage({path, "", 0});
  }
  return freed;
}

}  // namespace guda::orchestrator
