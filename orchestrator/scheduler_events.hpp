#pragma once
// What the scheduler hears and says: closed sets of values, and the states that it keeps of jobs and workers.
#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "common/error.hpp"
#include "common/huge_pages.hpp"
#include "common/ids.hpp"
#include "common/protocol.hpp"

namespace guda::orchestrator {

/// Seconds since any fixed moment; always given by the caller.
using Time = double;
inline constexpr Time kNever = std::numeric_limits<Time>::infinity();

struct SchedulerConfig {
  Time suspect_after = 30;  ///< no heartbeat: gets no new job
  Time lost_after = 120;    ///< no heartbeat: its job is leased again, the worker is never used again in this life
  Time no_progress_after =
      600;  ///< heartbeats but no step: the worker is restarted; at least 5x the time to the next checkpoint
  std::uint32_t crash_limit = 3;  ///< failures of one job before quarantine, on two devices where there are two
  std::uint32_t loss_limit = 3;   ///< different devices lost with one job before quarantine; or twice as many losses
  std::uint32_t io_limit = 6;     ///< i/o errors of one job before quarantine; retried after 1, 2, 4, ... s
  Time deadline = kNever;  ///< a job starts only when its p90 cost, or the time to its next checkpoint, fits before
  std::size_t ahead = 0;   ///< leases that a worker at a short job may hold behind it, of short jobs only
};

/// A job as the scheduler sees it; one cache line.
struct alignas(64) JobNode {
  double cost = 0;               ///< predicted seconds; of each member of a gang
  std::vector<JobIndex> inputs;  ///< must be committed first; earlier positions only
  std::uint32_t kind = 0;        ///< index of its job kind: each kind has its own cost ratio
  bool checkpoints = false;      ///< saves itself while it runs, so that a retry does not start from its beginning
  std::uint16_t gang = 1;        ///< workers of one node that do it together, from the same moment on
};

/// A failed attempt of an earlier life.
struct PastFailure {
  JobIndex job;
  std::uint32_t attempt = 0;
  std::string device;
  ErrorClass error = ErrorClass::crash;
  std::string text;
  bool quarantined = false;
};

/// A job that finished in an earlier life: teaches what its kind costs.
struct PastCost {
  std::uint32_t kind = 0;
  double predicted = 0, measured = 0;
};

/// What earlier lives learned; failure counts, quarantines and fences survive a restart.
struct History {
  std::vector<PastFailure> failures;
  std::vector<std::string> fenced_devices, fenced_nodes;
  std::vector<PastCost> costs;
};

namespace event {
struct WorkerJoined {
  WorkerId worker;
  std::string device;
  std::string node;
};
struct WorkerGone {  ///< the transport or the agent says so
  WorkerId worker;
};
struct Heartbeat {
  WorkerId worker;
  bool busy = false;
  Lease lease;
  std::uint64_t step = 0;
  double checkpoint_in = 0;  ///< s to the next planned checkpoint; 0: unknown, or the job keeps none
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
struct DeadlineSet {       ///< the walltime became known, or changed
  Time at = kNever;
};
struct Retry {  ///< a person wants a job tried again: its failures are forgotten, a quarantine is lifted
  JobIndex job;
};
struct Unfence {  ///< a person trusts a device or a whole node again
  std::string name;
};
struct Tick {};
}  // namespace event

using Event = std::variant<event::WorkerJoined, event::WorkerGone, event::Heartbeat, event::Finished, event::Failed,
                           event::Returned, event::Committed, event::CommitRefused, event::StopRequested,
                           event::DrainRequested, event::DeadlineSet, event::Retry, event::Unfence, event::Tick>;

namespace action {
struct Assign {
  WorkerId worker;
  Lease lease;
  std::vector<WorkerId> gang;  ///< who else gets this lease now, in rank order, `worker` included; empty: nobody
};
struct Cancel {
  WorkerId worker;
  Lease lease;
};
struct Commit {  ///< the result reported with this lease is the one to make durable; answer with Committed or
                 ///< CommitRefused
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
  std::string cure;  ///< what a person can do, when quarantined
};
struct RecordFence {         ///< to be kept for later lives
  std::string device, node;  ///< one of them
  bool fenced = true;
  std::string why;
};
struct RecordRetry {  ///< to be kept for later lives: forget the job's failures so far
  JobIndex job;
};
struct DismissWorker {
  WorkerId worker;
};
struct Finish {
  int exit_code = 0;
  std::string reason;
  bool planned = true;  ///< false: another life may go on from here at once
};
}  // namespace action

using Action = std::variant<action::Assign, action::Cancel, action::Commit, action::DropLate, action::RestartWorker,
                            action::LoseWorker, action::RecordFailure, action::RecordFence, action::RecordRetry,
                            action::DismissWorker, action::Finish>;

enum class JobState : std::uint8_t { waiting, ready, running, committing, backing_off, done, quarantined, blocked };
inline constexpr std::size_t kJobStates = 8;

/// Whether nothing can happen to the job any more in this life but a retry by hand.
[[nodiscard]] bool is_final(JobState state) noexcept;
[[nodiscard]] const char* to_string(JobState state) noexcept;

/// What went wrong with a job, over all lives.
struct JobTrouble {
  std::uint32_t failures = 0, io_failures = 0, losses = 0;  ///< losses: of its worker, from outside
  std::set<std::string> failed_devices;                     ///< it failed there
  std::set<std::string> lost_devices;                       ///< their worker was lost with it

  /// Devices that its success elsewhere speaks against.
  [[nodiscard]] std::set<std::string> accused() const;
};

/// One cache line: of a million jobs none is in a cache.
struct alignas(64) JobStatus {
  JobState state = JobState::waiting;
  bool suspected = false;     ///< it has failed on a device, and nobody knows whose fault that was
  std::uint32_t attempt = 0;  ///< of the current or last lease; counts over all lives
  std::uint32_t missing = 0;  ///< inputs that are not committed yet
  WorkerId worker;            ///< running, committing, done in this life (of a gang: its root); rank 0: none
  Time since = 0;             ///< start of the current state
  Time last_progress = 0;
  std::uint64_t last_step = 0;
  Time retry_at = 0;         ///< backing_off
  double seconds = 0;        ///< committing, done in this life: what it took
  double checkpoint_in = 0;  ///< s, as its worker said at last_progress; 0: unknown
};
static_assert(sizeof(JobStatus) == 64);

struct WorkerStatus {
  std::string device, node;
  std::uint32_t device_index = 0;  ///< in DeviceBlame
  Time last_heard = 0;
  bool lost = false, suspect = false;
  std::optional<Lease> lease;
  std::deque<Lease> ahead;       ///< behind `lease`, not begun
  Time progress_check = kNever;  ///< when its lease is looked at next
};

}  // namespace guda::orchestrator
