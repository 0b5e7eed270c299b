// What failures do: counts that outlive lives, who is blamed, quarantine and what it blocks, retries and fences lifted
// by hand.
#include <algorithm>
#include <cmath>

#include "orchestrator/failure_verdict.hpp"
#include "orchestrator/scheduler.hpp"

namespace guda::orchestrator {

std::set<std::string> JobTrouble::accused() const {
  std::set<std::string> devices = failed_devices;
  devices.insert(lost_devices.begin(), lost_devices.end());
  return devices;
}

const JobTrouble& Scheduler::trouble(JobIndex job) const {
  static const JobTrouble none;
  const auto at = troubles_.find(job.value);
  return at == troubles_.end() ? none : at->second;
}

const JobTrouble& Scheduler::count_failure(std::size_t job, ErrorClass error, const std::string& device) {
  JobTrouble& trouble = troubles_[job];
  (error == ErrorClass::lost ? trouble.lost_devices : trouble.failed_devices).insert(device);
  ++(error == ErrorClass::io ? trouble.io_failures : error == ErrorClass::lost ? trouble.losses : trouble.failures);
  status_[job].suspected = !trouble.failed_devices.empty();
  return trouble;
}

void Scheduler::restore(const History& history) {
  for (const PastFailure& past : history.failures) {
    JobStatus& s = status_.at(past.job.value);
    s.attempt = std::max(s.attempt, past.attempt);
    if (is_final(s.state)) continue;
    count_failure(past.job.value, past.error, past.device);
    if (past.quarantined) quarantine(past.job.value, 0);
  }
  for (const std::string& device : history.fenced_devices) blame_.restore_fence(device, "");
  for (const std::string& node : history.fenced_nodes) blame_.restore_fence("", node);
}

void Scheduler::fail(std::size_t job, WorkerId id, ErrorClass error, const std::string& text, Time now) {
  JobStatus& s = status_[job];
  const WorkerStatus& worker = workers_.at(id);
  const bool certain = error == ErrorClass::divergence || error == ErrorClass::bad_input;
  if (stopping_ && !certain) {  // what dies while everything is being stopped says nothing about the job
    blame_.undecided(worker.device_index);
    if (is_gang(job)) return leave_gang(job, id, now);
    set_state(job, JobState::ready, now);
    return;
  }
  if (is_gang(job)) {
    std::erase(gangs_.at(job).here, id);
    dissolve(job, now);
    gangs_.erase(job);
  }
  const JobTrouble& trouble = count_failure(job, error, worker.device);
  if (may_blame_device(error)) blame_.failed(worker.device_index, job, trouble.accused(), now);
  else blame_.undecided(worker.device_index);
  const Verdict verdict = judge(trouble, error, blame_.usable(), config_);
  const bool give_up = verdict == Verdict::quarantine;
  actions_.emplace_back(action::RecordFailure{
      id, {static_cast<std::uint32_t>(job), s.attempt}, error, text, give_up, give_up ? cure_of(error) : ""});
  if (give_up) {
    quarantine(job, now);
  } else if (verdict == Verdict::back_off) {
    s.retry_at = now + std::pow(2.0, std::min(trouble.io_failures, 10U) - 1);
    set_state(job, JobState::backing_off, now);
  } else {
    set_state(job, JobState::ready, now);
  }
}

void Scheduler::quarantine(std::size_t job, Time now) {
  const auto close = [&](std::size_t j, JobState state) {
    set_state(j, state, now);
    left_[nodes_[j].kind].predicted -= device_seconds(j);
    --left_[nodes_[j].kind].jobs;
  };
  close(job, JobState::quarantined);
  std::vector<std::size_t> open(users_of(job).begin(), users_of(job).end());
  while (!open.empty()) {
    const std::size_t user = open.back();
    open.pop_back();
    if (is_final(status_[user].state)) continue;
    close(user, JobState::blocked);
    open.insert(open.end(), users_of(user).begin(), users_of(user).end());
  }
}

void Scheduler::handle(const event::Retry& e, Time now) {
  if (e.job.value >= status_.size() || status_[e.job.value].state == JobState::done) return;
  JobStatus& s = status_[e.job.value];
  if (s.state == JobState::ready) leave_queue(e.job.value);  // its place depends on what is forgotten now
  troubles_.erase(e.job.value);
  s.suspected = false;
  actions_.emplace_back(action::RecordRetry{e.job});
  if (s.state == JobState::ready) enter_queue(e.job.value);
  if (s.state == JobState::backing_off) set_state(e.job.value, JobState::ready, now);
  if (s.state != JobState::quarantined) return;
  const auto reopen = [&](std::size_t j) {
    set_state(j, status_[j].missing == 0 ? JobState::ready : JobState::waiting, now);
    left_[nodes_[j].kind].predicted += device_seconds(j);
    ++left_[nodes_[j].kind].jobs;
  };
  reopen(e.job.value);
  std::vector<std::size_t> open(users_of(e.job.value).begin(), users_of(e.job.value).end());
  while (!open.empty()) {
    const std::size_t user = open.back();
    open.pop_back();
    const bool still_blocked = std::any_of(nodes_[user].inputs.begin(), nodes_[user].inputs.end(), [&](JobIndex input) {
      const JobState state = status_[input.value].state;
      return state == JobState::quarantined || state == JobState::blocked;
    });
    if (status_[user].state != JobState::blocked || still_blocked) continue;
    reopen(user);
    open.insert(open.end(), users_of(user).begin(), users_of(user).end());
  }
}

void Scheduler::handle(const event::Unfence& e, Time) {
  const auto devices = blame_.fenced_devices();
  const auto nodes = blame_.fenced_nodes();
  if (!blame_.unfence(e.name)) return;
  if (std::find(devices.begin(), devices.end(), e.name) != devices.end())
    actions_.emplace_back(action::RecordFence{e.name, "", false, "by hand"});
  if (std::find(nodes.begin(), nodes.end(), e.name) != nodes.end())
    actions_.emplace_back(action::RecordFence{"", e.name, false, "by hand"});
}

}  // namespace guda::orchestrator
