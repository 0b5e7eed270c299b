// Which job goes to which worker: order, locality, devices that a job has failed on, the deadline.
#include <algorithm>
#include <cmath>

#include "orchestrator/scheduler.hpp"

namespace guda::orchestrator {
namespace {

constexpr std::size_t kLookAgain = 64;    // jobs that have failed, looked at per event
constexpr std::size_t kLookNear = 16;     // jobs that locality chooses among
constexpr std::size_t kPrefetch = 4;      // places: enough events for memory to answer
constexpr double kNearTop = 0.95;         // locality may choose among jobs of this share of the highest rank
constexpr double kCheckpointEvery = 300;  // s; and a tenth of the cost, whichever is shorter (worker/training)
constexpr double kAheadSeconds = 0.02;    // of work behind a job: long against the way to the coordinator and back
constexpr double kOtherCosts = 1.25;  // a kind's ratio changed so much that the order of the ready jobs may be another

JobIndex index(std::size_t job) { return JobIndex(static_cast<std::uint32_t>(job)); }

}  // namespace

/// Seconds that a job needs until its work can't be lost any more: its end, or its next checkpoint.
Time Scheduler::time_to_safety(std::size_t job, double CostRange::* quantile) const {
  const double whole = estimate(index(job)).*quantile;
  return nodes_[job].checkpoints ? std::min(whole, std::min(kCheckpointEvery, 0.1 * whole)) : whole;
}

bool Scheduler::fits_deadline(JobIndex job, Time now) const {
  return config_.deadline == kNever || now + time_to_safety(job.value, &CostRange::p90) <= config_.deadline;
}

/// Asks for the memory of jobs that are likely to be next. In a plan of a million jobs it is in no cache, and waiting
/// for it would be a third of the time that an event takes.
void Scheduler::prefetch_behind(std::size_t job) const {
  if (const auto next = ready_.behind(job, kPrefetch)) {
    __builtin_prefetch(&status_[*next]);
    __builtin_prefetch(&users_begin_[*next]);
    __builtin_prefetch(&nodes_[*next]);
    ready_.prefetch(*next);
  }
}

void Scheduler::assign(WorkerId id, std::size_t job, Time now) {
  prefetch_behind(job);
  JobStatus& s = status_[job];
  WorkerStatus& worker = workers_.at(id);
  set_state(job, JobState::running, now);
  s.worker = id;
  const Lease lease{static_cast<std::uint32_t>(job), ++s.attempt};
  blame_.began(worker.device_index);
  if (worker.lease) worker.ahead.push_back(lease);
  else begin(id, lease, now);
  refresh(id);
  refresh_touched();
  actions_.emplace_back(action::Assign{id, lease, {}});
}

/// The worker is at this lease from now on.
void Scheduler::begin(WorkerId id, const Lease& lease, Time now) {
  JobStatus& s = status_[lease.job];
  s.last_progress = now;
  s.last_step = 0;
  s.checkpoint_in = 0;
  workers_.at(id).lease = lease;
  workers_.at(id).progress_check = kNever;
  if (s.worker == id) watch_progress(id, lease.job);  // a gang's clock is its root's
}

/// Whether jobs like this one may fill the worker's next place ahead.
bool Scheduler::may_wait_behind(const WorkerStatus& worker, std::size_t job) const {
  return estimate(index(job)).p90 * double(worker.ahead.size() + 1) < kAheadSeconds;
}

void Scheduler::assign_idle(Time now) {
  if (ready_.size() == 0 && ready_gangs_.empty()) return;
  if (!idle_.empty() && !ready_.again().empty()) assign_again(now);
  while (assign_gang(now, false) || (!idle_.empty() && (assign_fresh(now) || assign_gang(now, true)))) {
  }
  if (idle_.empty()) assign_ahead(now);
}

/// Short jobs are given to workers before these ask for them: a long one would keep the next from whoever is idle
/// first.
void Scheduler::assign_ahead(Time now) {
  while (!hungry_.empty()) {
    const auto top = ready_.first();
    const WorkerId worker = *hungry_.begin();
    if (!top || !may_wait_behind(workers_.at(worker), *top) || !fits_deadline(index(*top), now)) return;
    assign(worker, *top, now);
  }
}

/// Jobs that have failed go to a device they have not failed on; they wait for one that is at work, unless there is
/// none.
void Scheduler::assign_again(Time now) {
  std::size_t looked = 0;
  std::vector<std::size_t> jobs;
  for (const auto& [place, job] : ready_.again()) {
    jobs.push_back(job);
    if (++looked == kLookAgain) break;
  }
  for (const std::size_t job : jobs) {
    if (idle_.empty()) return;
    if (!fits_deadline(index(job), now)) continue;
    const auto& failed_on = trouble(index(job)).failed_devices;
    const bool anywhere = blame_.untried(failed_on) == 0;
    const auto worker = std::find_if(idle_.begin(), idle_.end(), [&](WorkerId w) {
      const WorkerStatus& idle = workers_.at(w);
      // A device on trial is judged by a job that nobody suspects.
      return anywhere || (!failed_on.contains(idle.device) && !blame_.fenced(idle.device_index));
    });
    if (worker != idle_.end()) assign(*worker, job, now);
  }
}

/// The worker whose output the job reads, when it is idle.
std::optional<WorkerId> Scheduler::home_of(std::size_t job) const {
  for (const JobIndex input : nodes_[job].inputs) {
    const WorkerId producer = status_[input.value].worker;
    if (producer.value != 0 && idle_.contains(producer)) return producer;
  }
  return std::nullopt;
}

/// Among jobs that rank about as high as the top one: one whose inputs lie on this worker, else on its node, else the
/// top.
std::size_t Scheduler::nearest(WorkerId id, std::size_t top) const {
  std::size_t place = ready_.place(top);
  const double enough = kNearTop * ready_.rank_at(place);
  const std::string& node = workers_.at(id).node;
  std::optional<std::size_t> same_node;
  for (std::size_t looked = 0; looked < kLookNear && place != BitTree::kNone && ready_.rank_at(place) >= enough;
       place = ready_.next_place(place), ++looked) {
    for (const JobIndex input : ready_.inputs_at(place)) {
      const WorkerId producer = status_[input.value].worker;
      if (producer.value == 0) continue;
      if (producer == id) return ready_.job_at(place);
      if (!same_node && workers_.at(producer).node == node) same_node = ready_.job_at(place);
    }
  }
  return same_node.value_or(top);
}

std::optional<JobIndex> Scheduler::likely_next() const {
  const auto top = ready_.first();
  if (!top || live_workers_ == 0) return std::nullopt;
  const auto job = ready_.behind(*top, live_workers_ - 1);
  return job && ready_.contains(*job) ? std::optional(index(*job)) : std::nullopt;
}

bool Scheduler::assign_fresh(Time now) {
  auto top = ready_.first();
  if (!top) return false;
  if (config_.deadline < kNever && !fits_deadline(index(*top), now)) {
    top = ready_.best_fitting(nodes_, [&](std::size_t job) { return fits_deadline(index(job), now); });
    if (!top) return false;
    assign(home_of(*top).value_or(*idle_.begin()), *top, now);
    return true;
  }
  if (const auto home = home_of(*top)) {
    assign(*home, *top, now);
    return true;
  }
  const WorkerId worker = *idle_.begin();
  const std::size_t job = nearest(worker, *top);
  assign(worker, fits_deadline(index(job), now) ? job : *top, now);
  return true;
}

void Scheduler::learn(std::size_t job) {
  costs_.observe(nodes_[job].kind, nodes_[job].cost, status_[job].seconds);
  // A new order costs O(jobs log jobs): at most once in every sixteenth of the plan.
  if (++commits_since_order_ < std::max<std::size_t>(1, nodes_.size() / 16)) return;
  for (std::size_t kind = 0; kind < ordered_ratios_.size(); ++kind) {
    const double change = costs_.ratio(kind).p50 / ordered_ratios_[kind];
    if (change > kOtherCosts || change < 1 / kOtherCosts) return order_ready();
  }
}

void Scheduler::order_ready() {
  commits_since_order_ = 0;
  ordered_ratios_.assign(left_.size(), 1);
  for (std::size_t kind = 0; kind < left_.size(); ++kind) ordered_ratios_[kind] = costs_.ratio(kind).p50;
  std::vector<double> rank(nodes_.size());
  for (std::size_t i = nodes_.size(); i-- > 0;) {
    double tail = 0;
    for (const std::size_t user : users_of(i)) tail = std::max(tail, rank[user]);
    rank[i] = nodes_[i].cost * ordered_ratios_[nodes_[i].kind] + tail;
  }
  ready_.order(nodes_, rank);
  ready_gangs_.order(ready_);
}

}  // namespace guda::orchestrator
