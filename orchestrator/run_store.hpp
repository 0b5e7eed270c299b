#pragma once
// What a run has: replays the journal, commits results into it, and keeps results.h5 as its view.
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/ids.hpp"
#include "common/row_segment.hpp"
#include "jobs/plan.hpp"
#include "orchestrator/journal.hpp"
#include "orchestrator/results_view.hpp"
#include "orchestrator/run_layout.hpp"
#include "orchestrator/scheduler_events.hpp"

namespace guda::orchestrator {

/// Commits of a run by job digest: the first one wins, a second one of the same job is a duplicate; one that a repair
/// record calls lost no longer counts, and the next one does.
[[nodiscard]] std::map<Digest, Commit> commits_of(const JournalContent& journal);

/// Digests of commits that no job of the plan has: the plan or the journal is of another run.
[[nodiscard]] std::vector<Digest> foreign_commits(const jobs::Plan& plan, const std::map<Digest, Commit>& commits);

/// For each job of the plan: is there nothing left to do? A committed job counts as open again when its artifact is
/// gone (retention, gc) and a job that reads it is still open.
[[nodiscard]] std::vector<bool> settled_jobs(const jobs::Plan& plan, const std::map<Digest, Commit>& commits,
                                             const std::vector<std::filesystem::path>& artifact_folders);

/// Whether a job of this kind publishes a folder under artifacts/.
[[nodiscard]] bool leaves_artifact(const jobs::Work& work);

/// Folders in which artifacts of a run are looked up: its own first, then those of the run it attributes for.
[[nodiscard]] std::vector<std::filesystem::path> artifact_folders(const RunLayout& run);

/// Every --chaos that a life of this run had, in order, joined by " | ".
[[nodiscard]] std::string chaos_of(const JournalContent& journal);

/// The one writer of a run in one life. One thread. Every IoError of a member means that this life is over: nothing
/// after the last sync() counts, and the next life replays.
class RunStore {
 public:
  /// Replays, rebuilds the view, opens the journal of this life. Damage is noted in the journal and in take_notes();
  /// jobs whose rows can't be read within `patience` seconds are open again. Throws IoError when another owner took the
  /// epoch, Error when the journal belongs to another plan. `chaos`: faults that are injected on purpose, for the
  /// provenance; empty: none.
  RunStore(RunLayout run, const jobs::Plan& plan, std::uint32_t epoch, const std::string& chaos = "",
           double patience = 0);

  [[nodiscard]] const std::vector<bool>& settled() const { return settled_; }
  [[nodiscard]] const std::map<Digest, Commit>& commits() const { return commits_; }

  /// Unix times of the run's first record and last commit; 0: none.
  [[nodiscard]] double started() const { return started_; }
  [[nodiscard]] double last_commit() const { return last_commit_; }
  /// Of this life's file, as it is now.
  [[nodiscard]] std::uint64_t journal_bytes() const;

  /// What earlier lives learned.
  [[nodiscard]] const History& history() const { return history_; }

  /// Queues a commit whose rows have been read and verified. Durable after the next sync().
  void add(JobIndex job, Commit commit, std::optional<RowRecord> rows);
  /// A job was handed out: to `worker`, and, when it is a gang's root, to all of `members`. Survives the death of this
  /// process after the next write(), that of the machine after the next sync().
  void add_lease(JobIndex job, std::uint32_t attempt, const std::string& worker, const std::string& device,
                 const std::vector<std::string>& members = {});
  /// A result of an attempt that may not commit (any more): compared with the committed one as soon as there is one.
  void add_late(JobIndex job, std::uint32_t attempt, const std::string& worker, const RowsRef& rows,
                const Json& metrics);
  void add_failure(Json body);
  /// A device or node is fenced, or trusted again: {"device" or "node", "fenced", "why"}.
  void add_fence(Json body);
  /// Makes all queued records durable with one fdatasync, then brings results.h5 up to date. Returns the jobs
  /// committed. Throws Error when a newer life owns the run directory: nothing is written then.
  [[nodiscard]] std::vector<JobIndex> sync();
  void write() { journal_->write(); }
  /// Whether something waits for the next sync().
  [[nodiscard]] bool dirty() const { return dirty_; }
  void end(const std::string& reason, int exit_code);
  /// Throws Error when a newer life owns the run directory: leave.
  void check_owner() const;
  /// What a person should hear of, once each: damage that was found, results that differ.
  [[nodiscard]] std::vector<std::string> take_notes() { return std::exchange(notes_, {}); }

 private:
  struct Queued {
    JobIndex job;
    Commit commit;
    std::optional<RowRecord> rows;
  };
  struct Late {
    JobIndex job;
    std::uint32_t attempt = 0;
    std::string worker;
    RowsRef rows;
    Json metrics;
    const char* why = "late";
  };

  void record_duplicate(const Late& late);

  RunLayout run_;
  const jobs::Plan& plan_;
  std::uint32_t epoch_;
  std::map<Digest, Commit> commits_;
  std::vector<bool> settled_;
  History history_;
  std::optional<JournalWriter> journal_;
  std::optional<ResultsView> view_;
  std::vector<Queued> queued_;
  std::vector<Late> late_;  // of jobs that have no commit yet
  std::vector<std::string> notes_;
  bool dirty_ = false;
  double started_ = 0, last_commit_ = 0;
};

}  // namespace guda::orchestrator
