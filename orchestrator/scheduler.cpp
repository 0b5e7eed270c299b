#include "orchestrator/scheduler.hpp"

#include <algorithm>
#include <cmath>

namespace guda::orchestrator {
namespace {

bool is_final(JobState s) { return s == JobState::done || s == JobState::quarantined || s == JobState::blocked; }

/// Whether another try can help at all.
bool retryable(ErrorClass error) {
  return error == ErrorClass::crash || error == ErrorClass::device || error == ErrorClass::io || error == ErrorClass::bug;
}

}  // namespace

const char* to_string(JobState state) noexcept {
  switch (state) {
    case JobState::waiting: return "waiting";
    case JobState::ready: return "ready";
    case JobState::running: return "running";
    case JobState::committing: return "committing";
    case JobState::backing_off: return "backing off";
    case JobState::done: return "done";
    case JobState::quarantined: return "quarantined";
    case JobState::blocked: return "blocked";
  }
  return "unknown";
}

Scheduler::Scheduler(std::vector<JobNode> jobs, const std::vector<bool>& committed, SchedulerConfig config)
    : nodes_(std::move(jobs)), users_(nodes_.size()), missing_(nodes_.size()), rank_(nodes_.size()), status_(nodes_.size()), config_(config) {
  if (committed.size() != nodes_.size()) throw Bug("committed flags do not match the jobs");
  counts_[static_cast<std::size_t>(JobState::waiting)] = nodes_.size();
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    for (const JobIndex input : nodes_[i].inputs) {
      if (input.value >= i) throw Bug("a job's inputs must precede it");
      users_[input.value].push_back(i);
      if (!committed[input.value]) ++missing_[i];
    }
  }
  for (std::size_t i = nodes_.size(); i-- > 0;) {
    double tail = 0;
    for (const std::size_t user : users_[i]) tail = std::max(tail, rank_[user]);
    rank_[i] = nodes_[i].cost + tail;
  }
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    remaining_cost_ += committed[i] ? 0 : nodes_[i].cost;
    if (committed[i]) {
      set_state(i, JobState::done, 0);
    } else if (missing_[i] == 0) {
      make_ready(i, 0);
    }
  }
}

std::vector<Action> Scheduler::on(const Event& event, Time now) {
  actions_.clear();
  if (finished_) return {};
  std::visit([&](const auto& e) { handle(e, now); }, event);
  if (!stopping_) assign_idle(now);
  finish_when_done();
  return std::move(actions_);
}

void Scheduler::set_state(std::size_t job, JobState state, Time now) {
  JobStatus& s = status_[job];
  if (s.state == JobState::ready) ready_.erase({-rank_[job], job});
  if (s.state == JobState::backing_off) backing_off_.erase(job);
  --counts_[static_cast<std::size_t>(s.state)];
  ++counts_[static_cast<std::size_t>(state)];
  s.state = state;
  s.since = now;
  if (state == JobState::ready) ready_.insert({-rank_[job], job});
  if (state == JobState::backing_off) backing_off_.insert(job);
}

void Scheduler::make_ready(std::size_t job, Time now) { set_state(job, JobState::ready, now); }

bool Scheduler::is_current(WorkerId worker, const Lease& lease) const {
  if (lease.job >= status_.size()) return false;
  const JobStatus& s = status_[lease.job];
  return s.state == JobState::running && s.worker == worker && s.attempt == lease.attempt;
}

void Scheduler::release(WorkerId worker) { workers_.at(worker).lease.reset(); }

void Scheduler::handle(const event::WorkerJoined& e, Time now) {
  const auto [at, is_new] = workers_.try_emplace(e.worker, WorkerStatus{e.device, now, false, std::nullopt});
  if (is_new) ever_joined_ = true;
  else at->second.last_heard = now;  // a repeated hello changes nothing
}

void Scheduler::handle(const event::WorkerGone& e, Time now) {
  const auto at = workers_.find(e.worker);
  if (at != workers_.end() && !at->second.lost) lose(e.worker, now, "its agent left");
}

void Scheduler::lose(WorkerId id, Time now, const std::string& why) {
  WorkerStatus& worker = workers_.at(id);
  worker.lost = true;
  actions_.emplace_back(action::LoseWorker{id});
  if (worker.lease && is_current(id, *worker.lease)) {
    const Lease lease = *worker.lease;
    worker.lease.reset();
    fail(lease.job, id, worker.device, ErrorClass::crash, "worker lost: " + why, now);
  }
  worker.lease.reset();
}

void Scheduler::handle(const event::Heartbeat& e, Time now) {
  const auto at = workers_.find(e.worker);
  if (at == workers_.end() || at->second.lost) return;  // a late heartbeat revives nobody
  at->second.last_heard = now;
  if (e.busy && is_current(e.worker, e.lease) && e.step != status_[e.lease.job].last_step) {
    status_[e.lease.job].last_step = e.step;
    status_[e.lease.job].last_progress = now;
  }
}

void Scheduler::handle(const event::Finished& e, Time now) {
  const auto at = workers_.find(e.worker);
  if (at == workers_.end()) return;
  at->second.last_heard = now;
  if (!is_current(e.worker, e.lease)) {
    actions_.emplace_back(action::DropLate{e.worker, e.lease});
    return;
  }
  release(e.worker);
  set_state(e.lease.job, JobState::committing, now);
  actions_.emplace_back(action::Commit{e.worker, e.lease});
}

void Scheduler::handle(const event::Failed& e, Time now) {
  const auto at = workers_.find(e.worker);
  if (at == workers_.end() || !is_current(e.worker, e.lease)) return;
  at->second.last_heard = now;
  release(e.worker);
  fail(e.lease.job, e.worker, at->second.device, e.error, e.text, now);
}

void Scheduler::handle(const event::Returned& e, Time now) {
  const auto at = workers_.find(e.worker);
  if (at == workers_.end() || !is_current(e.worker, e.lease)) return;
  at->second.last_heard = now;
  release(e.worker);
  make_ready(e.lease.job, now);  // planned: no failure is counted
}

void Scheduler::handle(const event::Committed& e, Time now) {
  if (e.job.value >= status_.size() || status_[e.job.value].state != JobState::committing) return;
  set_state(e.job.value, JobState::done, now);
  remaining_cost_ -= nodes_[e.job.value].cost;
  for (const std::size_t user : users_[e.job.value]) {
    if (--missing_[user] == 0 && status_[user].state == JobState::waiting) make_ready(user, now);
  }
}

void Scheduler::handle(const event::CommitRefused& e, Time now) {
  if (e.job.value >= status_.size() || status_[e.job.value].state != JobState::committing) return;
  const WorkerId worker = status_[e.job.value].worker;
  fail(e.job.value, worker, workers_.at(worker).device, ErrorClass::io, e.text, now);
}

void Scheduler::fail(std::size_t job, WorkerId worker, const std::string& device, ErrorClass error, const std::string& text, Time now) {
  JobStatus& s = status_[job];
  s.last_error = text;
  s.failed_devices.insert(device);
  const bool io = error == ErrorClass::io;
  ++(io ? s.io_failures : s.failures);
  const std::uint32_t limit = error == ErrorClass::bug ? 2 : config_.crash_limit;
  std::size_t devices_alive = 0;
  {
    std::set<std::string> devices;
    for (const auto& [id, w] : workers_) {
      if (!w.lost) devices.insert(w.device);
    }
    devices_alive = devices.size();
  }
  // A job is only blamed after it failed on two devices, where there are two: otherwise the device may be the culprit.
  const bool seen_enough_devices = s.failed_devices.size() >= 2 || devices_alive < 2;
  const bool exhausted = io ? s.io_failures >= config_.io_limit : (s.failures >= limit && seen_enough_devices) || s.failures >= 2 * limit;
  const bool give_up = !retryable(error) || exhausted;
  actions_.emplace_back(action::RecordFailure{worker, {static_cast<std::uint32_t>(job), s.attempt}, error, text, give_up});
  if (give_up) {
    quarantine(job, now);
  } else if (io) {
    set_state(job, JobState::backing_off, now);
    s.retry_at = now + std::pow(2.0, std::min(s.io_failures, 10U) - 1);
  } else {
    make_ready(job, now);
  }
}

void Scheduler::quarantine(std::size_t job, Time now) {
  set_state(job, JobState::quarantined, now);
  remaining_cost_ -= nodes_[job].cost;
  std::vector<std::size_t> open(users_[job]);
  while (!open.empty()) {
    const std::size_t user = open.back();
    open.pop_back();
    if (is_final(status_[user].state)) continue;
    set_state(user, JobState::blocked, now);
    remaining_cost_ -= nodes_[user].cost;
    open.insert(open.end(), users_[user].begin(), users_[user].end());
  }
}

void Scheduler::handle(const event::StopRequested&, Time) {
  if (stopping_) return;
  stopping_ = true;
  for (const auto& [id, worker] : workers_) {
    if (!worker.lost && worker.lease) actions_.emplace_back(action::Cancel{id, *worker.lease});
  }
}

void Scheduler::handle(const event::DrainRequested&, Time) { stopping_ = true; }

void Scheduler::handle(const event::Retry& e, Time now) {
  if (e.job.value >= status_.size() || status_[e.job.value].state != JobState::quarantined) return;
  JobStatus& s = status_[e.job.value];
  s.failures = s.io_failures = 0;
  s.failed_devices.clear();
  remaining_cost_ += nodes_[e.job.value].cost;
  make_ready(e.job.value, now);
  // What it had blocked waits again, unless another quarantined job blocks it as well.
  for (std::size_t i = e.job.value + 1; i < nodes_.size(); ++i) {
    if (status_[i].state != JobState::blocked) continue;
    const bool still = std::any_of(nodes_[i].inputs.begin(), nodes_[i].inputs.end(), [&](JobIndex input) {
      return status_[input.value].state == JobState::quarantined || status_[input.value].state == JobState::blocked;
    });
    if (still) continue;
    remaining_cost_ += nodes_[i].cost;
    set_state(i, JobState::waiting, now);
    if (missing_[i] == 0) make_ready(i, now);
  }
}

void Scheduler::handle(const event::Unfence&, Time) {}

void Scheduler::handle(const event::Tick&, Time now) {
  std::vector<WorkerId> gone;
  for (const auto& [id, worker] : workers_) {
    if (!worker.lost && now - worker.last_heard > config_.lost_after) gone.push_back(id);
  }
  for (const WorkerId id : gone) lose(id, now, "no heartbeat");
  for (auto& [id, worker] : workers_) {
    if (worker.lost || !worker.lease || !is_current(id, *worker.lease)) continue;
    JobStatus& s = status_[worker.lease->job];
    if (now - s.last_progress > config_.no_progress_after) {
      const Lease lease = *worker.lease;
      worker.lease.reset();
      actions_.emplace_back(action::RestartWorker{id});
      fail(lease.job, id, worker.device, ErrorClass::crash, "alive but no progress", now);
    }
  }
  std::vector<std::size_t> due;
  for (const std::size_t job : backing_off_) {
    if (status_[job].retry_at <= now) due.push_back(job);
  }
  for (const std::size_t job : due) make_ready(job, now);
}

std::size_t Scheduler::live_workers() const {
  return static_cast<std::size_t>(std::count_if(workers_.begin(), workers_.end(), [](const auto& w) { return !w.second.lost; }));
}

std::optional<std::size_t> Scheduler::pick(const WorkerStatus& worker) const {
  // A job that failed on this device waits for another one, unless no other live device exists.
  const bool alone = std::none_of(workers_.begin(), workers_.end(),
                                  [&](const auto& w) { return !w.second.lost && w.second.device != worker.device; });
  constexpr std::size_t kLook = 64;  // bounds the search; beyond it waiting for the next event is cheaper
  std::size_t looked = 0;
  for (const auto& [key, job] : ready_) {
    if (alone || !status_[job].failed_devices.contains(worker.device)) return job;
    // It failed on every live device already: anybody may try again.
    const bool everywhere = std::all_of(workers_.begin(), workers_.end(), [&, id = job](const auto& w) {
      return w.second.lost || status_[id].failed_devices.contains(w.second.device);
    });
    if (everywhere) return job;
    if (++looked == kLook) break;
  }
  return std::nullopt;
}

void Scheduler::assign_idle(Time now) {
  for (auto& [id, worker] : workers_) {
    if (ready_.empty()) return;
    if (worker.lost || worker.lease || now - worker.last_heard > config_.suspect_after) continue;
    const auto job = pick(worker);
    if (!job) continue;
    JobStatus& s = status_[*job];
    set_state(*job, JobState::running, now);
    s.worker = id;
    s.last_progress = now;
    s.last_step = 0;
    worker.lease = Lease{static_cast<std::uint32_t>(*job), ++s.attempt};
    actions_.emplace_back(action::Assign{id, *worker.lease});
  }
}

void Scheduler::finish_when_done() {
  const std::size_t final_jobs = count(JobState::done) + count(JobState::quarantined) + count(JobState::blocked);
  const bool all_final = final_jobs == status_.size();
  const bool idle = count(JobState::running) == 0 && count(JobState::committing) == 0;
  const bool abandoned = ever_joined_ && live_workers() == 0 && count(JobState::committing) == 0;
  if (!all_final && !(stopping_ && idle) && !abandoned) return;
  finished_ = true;
  for (const auto& [id, worker] : workers_) {
    if (!worker.lost) actions_.emplace_back(action::DismissWorker{id});
  }
  const bool clean = count(JobState::done) == status_.size();
  actions_.emplace_back(action::Finish{!all_final ? 75 : clean ? 0 : 10});
}

void Scheduler::check_invariants() const {
  const auto require = [](bool ok, const char* what) {
    if (!ok) throw Bug(what);
  };
  std::array<std::size_t, 8> counts{};
  std::map<std::uint32_t, std::size_t> holders;
  for (const auto& [id, worker] : workers_) {
    require(!(worker.lost && worker.lease), "a lost worker holds a lease");
    if (!worker.lease) continue;
    ++holders[worker.lease->job];
    const JobStatus& s = status_[worker.lease->job];
    require(s.state == JobState::running && s.worker == id && s.attempt == worker.lease->attempt, "a lease without its running job");
  }
  double remaining = 0;
  for (std::size_t i = 0; i < status_.size(); ++i) {
    const JobStatus& s = status_[i];
    ++counts[static_cast<std::size_t>(s.state)];
    if (s.state == JobState::running) require(holders[static_cast<std::uint32_t>(i)] == 1, "a running job has not exactly one holder");
    if (s.state == JobState::ready || s.state == JobState::running || s.state == JobState::committing) {
      for (const JobIndex input : nodes_[i].inputs) require(status_[input.value].state == JobState::done, "a job runs before its inputs");
    }
    require(ready_.contains({-rank_[i], i}) == (s.state == JobState::ready), "ready queue disagrees with the states");
    if (!is_final(s.state)) remaining += nodes_[i].cost;
  }
  require(counts == counts_, "state counts are wrong");
  require(std::abs(remaining - remaining_cost_) < 1e-6 * (1 + remaining), "remaining cost is wrong");
}

}  // namespace guda::orchestrator
