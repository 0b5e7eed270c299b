#include "orchestrator/scheduler.hpp"

#include <algorithm>
#include <numeric>

namespace guda::orchestrator {

bool is_final(JobState s) noexcept {
  return s == JobState::done || s == JobState::quarantined || s == JobState::blocked;
}

const char* to_string(JobState state) noexcept {
  switch (state) {
    case JobState::waiting:
      return "waiting";
    case JobState::ready:
      return "ready";
    case JobState::running:
      return "running";
    case JobState::committing:
      return "committing";
    case JobState::backing_off:
      return "backing off";
    case JobState::done:
      return "done";
    case JobState::quarantined:
      return "quarantined";
    case JobState::blocked:
      return "blocked";
  }
  return "unknown";
}

Scheduler::Scheduler(HugeVector<JobNode> jobs, const std::vector<bool>& committed, SchedulerConfig config,
                     const History& history)
    : nodes_(std::move(jobs)), status_(nodes_.size()), config_(config) {
  if (committed.size() != nodes_.size()) throw Bug("committed flags do not match the jobs");
  link_users(committed);
  counts_[static_cast<std::size_t>(JobState::waiting)] = nodes_.size();
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    if (nodes_[i].kind >= left_.size()) left_.resize(nodes_[i].kind + 1);
    has_gangs_ = has_gangs_ || is_gang(i);
    if (committed[i]) continue;
    left_[nodes_[i].kind].predicted += device_seconds(i);
    ++left_[nodes_[i].kind].jobs;
  }
  for (const PastCost& past : history.costs) costs_.observe(past.kind, past.predicted, past.measured);
  order_ready();
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    if (committed[i]) set_state(i, JobState::done, 0);
  }
  restore(history);
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    if (status_[i].state == JobState::waiting && status_[i].missing == 0) set_state(i, JobState::ready, 0);
  }
}

void Scheduler::link_users(const std::vector<bool>& committed) {
  users_begin_.resize(nodes_.size() + 1);
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    for (const JobIndex input : nodes_[i].inputs) {
      if (input.value >= i) throw Bug("a job's inputs must precede it");
      ++users_begin_[input.value + 1];
      if (!committed[input.value]) ++status_[i].missing;
    }
  }
  std::partial_sum(users_begin_.begin(), users_begin_.end(), users_begin_.begin());
  users_.resize(users_begin_.back());
  std::vector<std::uint32_t> next(users_begin_.begin(), users_begin_.end() - 1);
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    for (const JobIndex input : nodes_[i].inputs) users_[next[input.value]++] = static_cast<std::uint32_t>(i);
  }
}

std::vector<Action> Scheduler::on(const Event& event, Time now) {
  actions_.clear();
  if (finished_) return {};
  blame_.pass_time(now);
  std::visit([&](const auto& e) { handle(e, now); }, event);
  refresh_touched();
  if (!stopping_ && !draining_) assign_idle(now);
  finish_when_done(now);
  return std::move(actions_);
}

void Scheduler::set_state(std::size_t job, JobState state, Time now) {
  JobStatus& s = status_[job];
  if (s.state == JobState::ready) leave_queue(job);
  if (s.state == JobState::backing_off) backing_off_.erase({s.retry_at, job});
  --counts_[static_cast<std::size_t>(s.state)];
  ++counts_[static_cast<std::size_t>(state)];
  s.state = state;
  s.since = now;
  if (state == JobState::ready) enter_queue(job);
  if (state == JobState::backing_off) backing_off_.insert({s.retry_at, job});
}

void Scheduler::enter_queue(std::size_t job) {
  const bool again = status_[job].suspected;
  if (is_gang(job)) ready_gangs_.insert(job, ready_.place(job), again);
  else ready_.insert(job, again);
}

void Scheduler::leave_queue(std::size_t job) {
  if (!is_gang(job)) return ready_.erase(job);
  ready_gangs_.erase(job);
  if (gathering_ && gathering_->job == job) stop_gathering();
}

bool Scheduler::is_current(WorkerId worker, const Lease& lease) const {
  if (lease.job >= status_.size()) return false;
  const JobStatus& s = status_[lease.job];
  if (s.state != JobState::running || s.attempt != lease.attempt) return false;
  return is_gang(lease.job) ? gangs_.at(lease.job).has(worker) : s.worker == worker;
}

// ---- workers
// ---------------------------------------------------------------------------------------------------------

/// Keeps idle_ and what goes with it true for one worker.
void Scheduler::refresh(WorkerId id) {
  const WorkerStatus& w = workers_.at(id);
  const bool kept = gathering_ && gathering_->node == w.node;
  const bool may_work = !w.lost && !w.suspect && !kept && blame_.may_work(w.device_index);
  if (may_work && !w.lease) idle_.insert(id);
  else idle_.erase(id);
  if (may_work && w.lease && w.ahead.size() < config_.ahead && may_wait_behind(w, w.lease->job)) hungry_.insert(id);
  else hungry_.erase(id);
  if (!has_gangs_) return;
  idle_nodes_.set(w.node, id, may_work && !w.lease);
  if (kept && !w.lease && may_join(w, gathering_->with_held_back)) gathered_.insert(id);
  else gathered_.erase(id);
}

void Scheduler::refresh_touched() {
  for (const DeviceBlame::Index device : blame_.take_touched()) {
    if (device >= device_workers_.size()) continue;
    for (const WorkerId worker : device_workers_[device]) refresh(worker);
  }
}

/// Notes a sign of life; nothing for workers that are unknown.
WorkerStatus* Scheduler::hear(WorkerId id, Time now) {
  const auto at = workers_.find(id);
  if (at == workers_.end()) return nullptr;
  WorkerStatus& w = at->second;
  w.last_heard = now;
  if (w.suspect && !w.lost) {
    w.suspect = false;
    refresh(id);
  }
  return &w;
}

/// The worker has this lease no more; what it was given ahead moves up.
void Scheduler::release(WorkerId id, const Lease& lease, Time now) {
  WorkerStatus& w = workers_.at(id);
  if (w.lease != lease) {
    std::erase(w.ahead, lease);
  } else if (w.ahead.empty()) {
    w.lease.reset();
  } else {
    const Lease next = w.ahead.front();
    w.ahead.pop_front();
    begin(id, next, now);
  }
  refresh(id);
}

/// What the worker was given ahead goes to others: it has begun none of it, so nobody is to blame.
void Scheduler::take_back_ahead(WorkerId id, Time now) {
  for (const Lease& lease : std::exchange(workers_.at(id).ahead, {})) set_state(lease.job, JobState::ready, now);
  refresh(id);
}

void Scheduler::handle(const event::WorkerJoined& e, Time now) {
  const auto [at, is_new] = workers_.try_emplace(e.worker);
  if (!is_new) {  // a repeated hello changes nothing
    hear(e.worker, now);
    return;
  }
  ever_joined_ = true;
  last_joined_ = now;
  ++live_workers_;
  const DeviceBlame::Index device = blame_.join(e.device, e.node);
  if (device >= device_workers_.size()) device_workers_.resize(device + 1);
  device_workers_[device].push_back(e.worker);
  node_workers_[e.node].push_back(e.worker);
  at->second = WorkerStatus{e.device, e.node, device, now, false, false, std::nullopt, {}};
  checks_.push({now + config_.suspect_after, e.worker, std::nullopt});
  refresh(e.worker);
}

void Scheduler::handle(const event::WorkerGone& e, Time now) {
  const auto at = workers_.find(e.worker);
  if (at != workers_.end() && !at->second.lost) lose(e.worker, now, "its agent left");
}

void Scheduler::lose(WorkerId id, Time now, const std::string& why) {
  WorkerStatus& worker = workers_.at(id);
  worker.lost = true;
  --live_workers_;
  actions_.emplace_back(action::LoseWorker{id});
  take_back_ahead(id, now);
  const auto lease = worker.lease;
  if (lease) release(id, *lease, now);
  refresh(id);
  blame_.leave(worker.device_index);
  if (lease && is_current(id, *lease)) fail(lease->job, id, ErrorClass::lost, "worker lost: " + why, now);
}

void Scheduler::handle(const event::Heartbeat& e, Time now) {
  const auto at = workers_.find(e.worker);
  if (at == workers_.end() || at->second.lost) return;  // a late heartbeat revives nobody
  hear(e.worker, now);
  if (e.busy && at->second.lease == e.lease && status_[e.lease.job].worker == e.worker &&
      e.step != status_[e.lease.job].last_step) {
    status_[e.lease.job].last_step = e.step;
    status_[e.lease.job].last_progress = now;
    status_[e.lease.job].checkpoint_in = e.checkpoint_in;
    watch_progress(e.worker, e.lease.job);
  }
}

// ---- jobs
// ------------------------------------------------------------------------------------------------------------

void Scheduler::handle(const event::Finished& e, Time now) {
  if (!hear(e.worker, now)) return;
  if (!is_current(e.worker, e.lease)) {
    // Of a gang only the root has a result, and of an old attempt nobody knows who that was.
    if (e.lease.job >= nodes_.size() || !is_gang(e.lease.job))
      actions_.emplace_back(action::DropLate{e.worker, e.lease});
    return;
  }
  release(e.worker, e.lease, now);
  if (is_gang(e.lease.job)) {
    if (status_[e.lease.job].worker != e.worker) return leave_gang(e.lease.job, e.worker, now);
    std::erase(gangs_.at(e.lease.job).here, e.worker);
    dissolve(e.lease.job, now);
  }
  status_[e.lease.job].seconds = e.seconds;
  set_state(e.lease.job, JobState::committing, now);
  actions_.emplace_back(action::Commit{e.worker, e.lease});
}

void Scheduler::handle(const event::Failed& e, Time now) {
  if (!is_current(e.worker, e.lease) || !hear(e.worker, now)) return;
  // A context with a sticky error fails whatever comes next.
  if (e.error == ErrorClass::device) {
    take_back_ahead(e.worker, now);
    actions_.emplace_back(action::RestartWorker{e.worker});
  }
  release(e.worker, e.lease, now);
  fail(e.lease.job, e.worker, e.error, e.text, now);
}

void Scheduler::handle(const event::Returned& e, Time now) {
  if (!is_current(e.worker, e.lease) || !hear(e.worker, now)) return;
  blame_.undecided(workers_.at(e.worker).device_index);
  release(e.worker, e.lease, now);
  if (is_gang(e.lease.job)) {
    break_up(e.lease.job, e.worker);
    return leave_gang(e.lease.job, e.worker, now);
  }
  set_state(e.lease.job, JobState::ready, now);  // planned: no failure is counted
}

void Scheduler::handle(const event::Committed& e, Time now) {
  const std::size_t job = e.job.value;
  if (job >= status_.size() || status_[job].state != JobState::committing) return;
  set_state(job, JobState::done, now);
  --left_[nodes_[job].kind].jobs;
  left_[nodes_[job].kind].predicted -= device_seconds(job);
  for (const std::size_t user : users_of(job)) {
    if (--status_[user].missing == 0 && status_[user].state == JobState::waiting) set_state(user, JobState::ready, now);
  }
  const auto credit = [&](WorkerId id, const std::set<std::string>& others) {
    for (const DeviceBlame::Fence& fence : blame_.succeeded(workers_.at(id).device_index, job, others, now))
      actions_.emplace_back(action::RecordFence{fence.device, fence.node, fence.fenced, fence.why});
  };
  if (is_gang(job)) {  // every member has proved itself before anybody is accused
    for (const WorkerId id : gangs_.at(job).members) credit(id, {});
    gangs_.erase(job);
  }
  credit(status_[job].worker, trouble(e.job).accused());
  learn(job);
}

void Scheduler::handle(const event::CommitRefused& e, Time now) {
  if (e.job.value >= status_.size() || status_[e.job.value].state != JobState::committing) return;
  fail(e.job.value, status_[e.job.value].worker, ErrorClass::io, e.text, now);
}

void Scheduler::handle(const event::StopRequested&, Time) {
  if (stopping_) return;
  stopping_ = true;
  for (const auto& [id, worker] : workers_) {
    if (worker.lost || !worker.lease) continue;
    for (const Lease& lease : worker.ahead) actions_.emplace_back(action::Cancel{id, lease});
    actions_.emplace_back(action::Cancel{id, *worker.lease});
  }
}

void Scheduler::handle(const event::DrainRequested&, Time) { draining_ = true; }

void Scheduler::handle(const event::DeadlineSet& e, Time) { config_.deadline = e.at; }

// ---- the end
// ---------------------------------------------------------------------------------------------------------

void Scheduler::finish(int code, std::string reason, bool planned) {
  finished_ = true;
  for (const auto& [id, worker] : workers_) {
    if (!worker.lost) actions_.emplace_back(action::DismissWorker{id});
  }
  actions_.emplace_back(action::Finish{code, std::move(reason), planned});
}

void Scheduler::finish_when_done(Time now) {
  if (count(JobState::done) + count(JobState::quarantined) + count(JobState::blocked) == status_.size()) {
    const bool clean = count(JobState::done) == status_.size();
    return finish(clean ? 0 : 10, clean ? "complete" : "complete, with quarantined jobs");
  }
  if (count(JobState::committing) > 0) return;
  if (ever_joined_ && live_workers_ == 0) return finish(75, "all workers are lost", stopping_ || draining_);
  if (count(JobState::running) > 0) return;
  if (stopping_ || draining_) return finish(75, stopping_ ? "stopped on request" : "drained on request");
  // Others may still be starting.
  if (ever_joined_ && blame_.usable() == 0 && now > last_joined_ + config_.suspect_after)
    return finish(75, "every device that is left is fenced", false);
  if (ready_.size() == 0 && count(JobState::backing_off) == 0 && gang_is_hopeless(now)) {
    const std::string wanted = std::to_string(nodes_[ready_gangs_.first()].gang);
    return finish(75, "no node has the " + wanted + " workers left that a gang wants (resources.gang)", false);
  }
  if (config_.deadline < kNever && count(JobState::backing_off) == 0 && (ever_joined_ || now >= config_.deadline)) {
    const auto fits = [&](std::size_t job) { return fits_deadline(JobIndex(static_cast<std::uint32_t>(job)), now); };
    const bool some_again = std::any_of(ready_.again().begin(), ready_.again().end(),
                                        [&](const auto& entry) { return fits(entry.second); });
    if (!some_again && (!next_gang(now) || gang_is_hopeless(now)) && !ready_.best_fitting(nodes_, fits))
      return finish(75, "nothing that is left fits before the deadline");
  }
}

}  // namespace guda::orchestrator
