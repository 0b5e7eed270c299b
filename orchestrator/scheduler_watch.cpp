// Who has been silent or without progress for too long, and whose back-off is over.
#include <algorithm>

#include "orchestrator/scheduler.hpp"

namespace guda::orchestrator {

void Scheduler::check_silence(WorkerId id, Time now) {
  WorkerStatus& w = workers_.at(id);
  if (w.lost) return;
  // The very sums that are pushed below: a difference may round to the other side of a limit, and never end.
  if (w.last_heard + config_.lost_after < now) return lose(id, now, "no heartbeat");
  w.suspect = w.last_heard + config_.suspect_after < now;
  refresh(id);
  checks_.push({w.last_heard + (w.suspect ? config_.lost_after : config_.suspect_after), id, std::nullopt});
}

/// When a running job must have made a step. What its worker says of its next checkpoint counts more than a prediction.
Time Scheduler::progress_due(std::size_t job) const {
  const JobStatus& s = status_[job];
  const Time safe = s.checkpoint_in > 0 ? s.checkpoint_in : time_to_safety(job, &CostRange::p50);
  return s.last_progress + std::max(config_.no_progress_after, 5 * safe);
}

/// Looks at a running job when its step is due; a look that is planned for later than that does not suffice.
void Scheduler::watch_progress(WorkerId id, std::size_t job) {
  WorkerStatus& w = workers_.at(id);
  const Time due = progress_due(job);
  if (due >= w.progress_check) return;
  w.progress_check = due;
  checks_.push({due, id, *w.lease});
}

void Scheduler::check_progress(WorkerId id, const Lease& lease, Time at, Time now) {
  if (!is_current(id, lease) || workers_.at(id).progress_check != at) return;  // of an old lease, or put off
  workers_.at(id).progress_check = kNever;
  if (now <= progress_due(lease.job)) return watch_progress(id, lease.job);
  actions_.emplace_back(action::RestartWorker{id});
  take_back_ahead(id, now);
  release(id, lease, now);
  fail(lease.job, id, ErrorClass::crash, "alive but no progress", now);
}

void Scheduler::handle(const event::Tick&, Time now) {
  while (!checks_.empty() && checks_.top().at < now) {
    const Check check = checks_.top();
    checks_.pop();
    if (check.lease) check_progress(check.worker, *check.lease, check.at, now);
    else check_silence(check.worker, now);
  }
  while (!backing_off_.empty() && backing_off_.begin()->first <= now)
    set_state(backing_off_.begin()->second, JobState::ready, now);
}

}  // namespace guda::orchestrator
