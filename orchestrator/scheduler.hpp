#pragma once
// Who does what next, as a pure function of events: no MPI, no files, no clock, no threads. The shell (serve.cpp) feeds
// events and performs actions; tests enumerate event orders; later `guda simulate` runs it in virtual time.
#include <cstdint>
#include <array>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "common/error.hpp"
#include "common/ids.hpp"
#include "common/json.hpp"
#include "common/protocol.hpp"

namespace guda::orchestrator {

/// Seconds since any fixed moment; always given by the caller.
using Time = double;

struct SchedulerConfig {
  Time suspect_after = 30;      ///< no heartbeat: gets no new job
  Time lost_after = 120;        ///< no heartbeat: its job is leased again, the worker is never used again in this life
  Time no_progress_after = 600; ///< heartbeats but no step: the worker process is restarted
  std::uint32_t crash_limit = 3;///< failures of one job before quarantine
  std::uint32_t io_limit = 6;   ///< i/o errors of one job before quarantine; retried after 1, 2, 4, ... s
};

/// A job as the scheduler sees it.
struct JobNode {
  double cost = 0;                     ///< predicted device-seconds
  std::vector<JobIndex> inputs;        ///< must be committed first; earlier positions only
};

namespace event {
struct WorkerJoined {
  WorkerId worker;
  std::string device;
};
struct WorkerGone {  ///< the transport or the agent says so
  WorkerId worker;
};
struct Heartbeat {
  WorkerId worker;
  bool busy = false;
  Lease lease;
  std::uint64_t step = 0;
};
struct Finished {
  WorkerId worker;
  Lease lease;
  double seconds = 0;
};
struct Failed {
  WorkerId worker;
  Lease lease;
  ErrorClass error = ErrorClass::crash;
  std::string text;
};
struct Returned {
  WorkerId worker;
  Lease lease;
};
struct Committed {  ///< the journal holds it
  JobIndex job;
};
struct CommitRefused {  ///< its rows can't be read: as an i/o failure
  JobIndex job;
  std::string text;
};
struct StopRequested {};   ///< running jobs are handed back
struct DrainRequested {};  ///< running jobs end, nothing new starts
struct Retry {  ///< a person wants a job tried again: its failures are forgotten, a quarantine is lifted
  JobIndex job;
};
struct Unfence {  ///< a person trusts a device or a whole node again
  std::string name;
};
struct Tick {};
}  // namespace event

using Event = std::variant<event::WorkerJoined, event::WorkerGone, event::Heartbeat, event::Finished, event::Failed, event::Returned,
                           event::Committed, event::CommitRefused, event::StopRequested, event::DrainRequested, event::Retry, event::Unfence,
                           event::Tick>;

namespace action {
struct Assign {
  WorkerId worker;
  Lease lease;
};
struct Cancel {
  WorkerId worker;
  Lease lease;
};
struct Commit {  ///< the result reported with this lease is the one to make durable; answer with Committed or CommitRefused
  WorkerId worker;
  Lease lease;
};
struct DropLate {  ///< a result of an old attempt: recorded, never committed
  WorkerId worker;
  Lease lease;
};
struct RestartWorker {
  WorkerId worker;
};
struct LoseWorker {  ///< never send to it again
  WorkerId worker;
};
struct RecordFailure {
  WorkerId worker;
  Lease lease;
  ErrorClass error;
  std::string text;
  bool quarantined = false;
};
struct DismissWorker {
  WorkerId worker;
};
struct Finish {
  int exit_code = 0;
};
}  // namespace action

using Action = std::variant<action::Assign, action::Cancel, action::Commit, action::DropLate, action::RestartWorker, action::LoseWorker,
                            action::RecordFailure, action::DismissWorker, action::Finish>;

enum class JobState { waiting, ready, running, committing, backing_off, done, quarantined, blocked };

[[nodiscard]] const char* to_string(JobState state) noexcept;

struct JobStatus {
  JobState state = JobState::waiting;
  std::uint32_t attempt = 0;          ///< of the current or last lease
  WorkerId worker;                    ///< running, committing
  Time since = 0;                     ///< start of the current state
  Time last_progress = 0;
  std::uint64_t last_step = 0;
  Time retry_at = 0;                  ///< backing_off
  std::uint32_t failures = 0, io_failures = 0;
  std::set<std::string> failed_devices;
  std::string last_error;
};

struct WorkerStatus {
  std::string device;
  Time last_heard = 0;
  bool lost = false;
  std::optional<Lease> lease;
};

class Scheduler {
 public:
  /// `committed[i]` is true for jobs that the journal already holds.
  Scheduler(std::vector<JobNode> jobs, const std::vector<bool>& committed, SchedulerConfig config);

  /// The only way in. Cost O(log jobs) apart from Tick, which is O(workers + retries).
  [[nodiscard]] std::vector<Action> on(const Event& event, Time now);

  [[nodiscard]] const std::vector<JobStatus>& jobs() const { return status_; }
  [[nodiscard]] const std::map<WorkerId, WorkerStatus>& workers() const { return workers_; }
  [[nodiscard]] std::size_t count(JobState state) const { return counts_[static_cast<std::size_t>(state)]; }
  [[nodiscard]] bool finished() const { return finished_; }
  /// Predicted seconds of work left, with every kind's prediction scaled by `scale` (cost refit of the shell).
  [[nodiscard]] double remaining_cost() const { return remaining_cost_; }

  /// Throws Bug when an invariant is broken: used by tests after every event.
  void check_invariants() const;

 private:
  void handle(const event::WorkerJoined& e, Time now);
  void handle(const event::WorkerGone& e, Time now);
  void handle(const event::Heartbeat& e, Time now);
  void handle(const event::Finished& e, Time now);
  void handle(const event::Failed& e, Time now);
  void handle(const event::Returned& e, Time now);
  void handle(const event::Committed& e, Time now);
  void handle(const event::CommitRefused& e, Time now);
  void handle(const event::StopRequested& e, Time now);
  void handle(const event::DrainRequested& e, Time now);
  void handle(const event::Retry& e, Time now);
  void handle(const event::Unfence& e, Time now);
  void handle(const event::Tick& e, Time now);

  void set_state(std::size_t job, JobState state, Time now);
  void make_ready(std::size_t job, Time now);
  void fail(std::size_t job, WorkerId worker, const std::string& device, ErrorClass error, const std::string& text, Time now);
  void quarantine(std::size_t job, Time now);
  void lose(WorkerId worker, Time now, const std::string& why);
  void release(WorkerId worker);
  bool is_current(WorkerId worker, const Lease& lease) const;
  void assign_idle(Time now);
  void finish_when_done();
  [[nodiscard]] std::size_t live_workers() const;
  [[nodiscard]] std::optional<std::size_t> pick(const WorkerStatus& worker) const;

  std::vector<JobNode> nodes_;
  std::vector<std::vector<std::size_t>> users_;   // jobs that read this one
  std::vector<std::size_t> missing_;              // inputs not committed yet
  std::vector<double> rank_;                      // longest predicted chain from here to the end
  std::vector<JobStatus> status_;
  std::array<std::size_t, 8> counts_{};
  std::set<std::pair<double, std::size_t>> ready_;  // (-rank, index): longest chain first, ties by plan order
  std::set<std::size_t> backing_off_;
  std::map<WorkerId, WorkerStatus> workers_;
  SchedulerConfig config_;
  double remaining_cost_ = 0;
  bool stopping_ = false, finished_ = false, ever_joined_ = false;
  std::vector<Action> actions_;
};

}  // namespace guda::orchestrator
