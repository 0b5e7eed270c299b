#include "orchestrator/garbage.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "common/error.hpp"
#include "common/files.hpp"
#include "orchestrator/retention.hpp"

namespace guda::orchestrator {
namespace fs = std::filesystem;

namespace {

std::vector<fs::path> children_of(const fs::path& folder) {
  std::vector<fs::path> children;
  std::error_code code;
  for (fs::directory_iterator entry(folder, code), end; !code && entry != end; entry.increment(code))
    children.push_back(entry->path());
  std::sort(children.begin(), children.end());
  return children;
}

std::set<std::string> referenced_segments(const JournalContent& journal) {
  std::set<std::string> names;
  for (const auto* records : {&journal.records, &journal.stale}) {
    for (const JournalRecord& record : *records) {
      if (record.type == RecordType::commit) names.insert(record.body.get<Commit>().rows.segment);
    }
  }
  return names;
}

}  // namespace

std::vector<Garbage> find_leftovers(const RunLayout& run) {
  std::vector<Garbage> found;
  for (const fs::path& folder : {run.folder, run.artifacts(), run.rows(), run.journal(), run.control(), run.logs()}) {
    for (const fs::path& path : children_of(folder)) {
      if (path.extension() == ".partial")
        found.push_back({path, "half written by a process that was killed", bytes_below(path)});
      if (path.extension() == ".removed") found.push_back({path, "half removed", bytes_below(path)});
      if (path.extension() == ".damaged")
        found.push_back({path, "set aside by guda verify --repair", bytes_below(path)});
    }
  }
  return found;
}

std::vector<Garbage> find_garbage(const RunLayout& run, const jobs::Plan& plan, const JournalContent& journal,
                                  const std::vector<bool>& settled) {
  std::vector<Garbage> found = find_leftovers(run);
  std::map<std::string, std::size_t> known;
  for (std::size_t i = 0; i < plan.jobs.size(); ++i) known.emplace(plan.jobs[i].digest.hex, i);
  for (const fs::path& path : children_of(run.artifacts())) {
    const auto job = known.find(path.stem().string());
    if (path.extension().empty() && job == known.end()) {
      found.push_back({path, "no job of the plan makes it", bytes_below(path)});
    }
    if (path.extension() == ".checkpoints" && (job == known.end() || settled[job->second])) {
      found.push_back({path,
                       job == known.end() ? "checkpoints of no job of the plan"
                                          : "checkpoints of '" + plan.jobs[job->second].label + "', which is finished",
                       bytes_below(path)});
    }
  }
  const auto referenced = referenced_segments(journal);
  for (const fs::path& path : children_of(run.rows())) {
    if (path.extension() == ".seg" && !referenced.contains(path.filename().string())) {
      found.push_back({path, "no commit points into it", bytes_below(path)});
    }
  }
  for (const std::size_t job : droppable_artifacts(run, plan, settled)) {
    const fs::path path = run.artifacts() / plan.jobs[job].digest.hex;
    found.push_back({path,
                     "retention.keep: " + plan.experiment.retention.keep + " drops '" + plan.jobs[job].label + "'",
                     bytes_below(path)});
  }
  return found;
}

void remove_garbage(const Garbage& item) {
  std::error_code code;
  fs::path going = item.path;
  if (fs::is_directory(fs::symlink_status(item.path)) && item.path.extension() != ".removed") {
    // Renamed first: a reader finds the artifact whole or not at all.
    going = item.path.string() + ".removed";
    fs::rename(item.path, going, code);
    if (code) throw IoError(errno_text("cannot rename", item.path, code.value()));
  }
  fs::remove_all(going, code);
  if (code) throw IoError(errno_text("cannot remove", going, code.value()));
}

}  // namespace guda::orchestrator
