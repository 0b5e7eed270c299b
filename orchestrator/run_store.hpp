#pragma once
// What a run has: replays the journal, commits results into it, and keeps results.h5 as its view.
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/ids.hpp"
#include "common/row_segment.hpp"
#include "jobs/plan.hpp"
#include "orchestrator/journal.hpp"
#include "orchestrator/results_file.hpp"
#include "orchestrator/run_layout.hpp"
#include "orchestrator/scheduler_events.hpp"

namespace guda::orchestrator {

/// Commits of a run by job digest (first one wins; a second one of the same job is a late duplicate).
[[nodiscard]] std::map<Digest, Commit> commits_of(const JournalContent& journal);

/// For each job of the plan: is there nothing left to do? A committed job counts as open again when its artifact is
/// gone (retention, gc) and a job that reads it is still open.
[[nodiscard]] std::vector<bool> settled_jobs(const jobs::Plan& plan, const std::map<Digest, Commit>& commits,
                                             const std::vector<std::filesystem::path>& artifact_folders);

/// Folders in which artifacts of a run are looked up: its own first, then those of reused runs.
[[nodiscard]] std::vector<std::filesystem::path> artifact_folders(const RunLayout& run);

/// Creates results.h5 anew from plan, journal and row segments. Rows that can't be read stay pending and are named in
/// the result (their jobs should be run again).
/// `chaos`: faults that were injected on purpose, an attribute of the file; empty: none.
[[nodiscard]] std::vector<Digest> rebuild_results(const RunLayout& run, const jobs::Plan& plan, const std::map<Digest, Commit>& commits,
                                                  const std::string& chaos = "");

/// Every --chaos that a life of this run had, in order, joined by " | ".
[[nodiscard]] std::string chaos_of(const JournalContent& journal);

/// The one writer of a run in one life. One thread.
class RunStore {
 public:
  /// Replays, rebuilds the view, opens the journal of this life. Throws IoError when another owner took the epoch.
  /// `chaos`: faults that are injected on purpose, for the provenance; empty: none.
  RunStore(RunLayout run, const jobs::Plan& plan, std::uint32_t epoch, const std::string& chaos = "");

  [[nodiscard]] const std::vector<bool>& settled() const { return settled_; }
  [[nodiscard]] const std::map<Digest, Commit>& commits() const { return commits_; }

  /// What earlier lives learned.
  [[nodiscard]] const History& history() const { return history_; }

  /// Queues a commit whose rows have been read and verified. Durable after the next sync().
  void add(JobIndex job, Commit commit, std::optional<RowRecord> rows);
  void add_failure(const Json& body);
  /// A device or node is fenced, or trusted again: {"device" or "node", "fenced", "why"}.
  void add_fence(const Json& body);
  /// Makes all queued records durable with one fdatasync, then brings results.h5 up to date. Returns the jobs committed.
  [[nodiscard]] std::vector<JobIndex> sync();
  void end(const std::string& reason, int exit_code);

 private:
  struct Queued {
    JobIndex job;
    Commit commit;
    std::optional<RowRecord> rows;
  };

  RunLayout run_;
  const jobs::Plan& plan_;
  std::map<Digest, Commit> commits_;
  std::vector<bool> settled_;
  History history_;
  std::optional<JournalWriter> journal_;
  std::optional<ResultsFile> results_;
  std::map<std::string, std::uint32_t> open_rows_;  // "<method>/<group>/<block>" -> jobs still to come
  std::vector<Queued> queued_;
  bool dirty_ = false;
};

}  // namespace guda::orchestrator
