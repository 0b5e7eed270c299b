// Gangs: how one finds its workers, and how it ends. The policy is told in gang_queue.hpp.
#include <algorithm>
#include <limits>
#include <tuple>

#include "orchestrator/scheduler.hpp"

namespace guda::orchestrator {
namespace {

constexpr std::size_t kLookFitting = 64;  // gang jobs whose fit before the deadline is looked at per event

}  // namespace

std::vector<WorkerId> Scheduler::gang_of(JobIndex job) const {
  const auto at = gangs_.find(job.value);
  return at == gangs_.end() ? std::vector<WorkerId>{} : at->second.members;
}

/// The gang job that is next, of those that fit before the deadline.
std::optional<std::size_t> Scheduler::next_gang(Time now) const {
  const auto fits = [&](std::size_t job) { return fits_deadline(JobIndex(static_cast<std::uint32_t>(job)), now); };
  if (gathering_ && fits(gathering_->job)) return gathering_->job;
  std::size_t looked = 0;
  for (const GangQueue::Key& key : ready_gangs_.in_order()) {
    if (fits(std::get<2>(key))) return std::get<2>(key);
    if (++looked == kLookFitting) break;
  }
  return std::nullopt;
}

/// Starts the next gang, or begins to gather workers for it. It waits while a job of one worker ranks higher, unless
/// `before_longer`. False: nothing has changed.
bool Scheduler::assign_gang(Time now, bool before_longer) {
  if (ready_gangs_.empty()) return false;
  const auto job = next_gang(now);
  if (!job) {
    stop_gathering();
    return false;
  }
  const std::size_t size = nodes_[*job].gang;
  if (gathering_ && gathering_->job == *job) {
    if (gathered_.size() >= size) {
      assign_together(*job, std::set(gathered_), now);
      return true;
    }
  } else {
    stop_gathering();
    const auto longest = ready_.first();
    if (!before_longer && !ready_gangs_.again(*job) && longest && ready_.place(*longest) < ready_.place(*job))
      return false;
  }
  if (idle_nodes_.most().size() >= size) {
    assign_together(*job, std::set(idle_nodes_.most()), now);
    return true;
  }
  if (gathering_) {
    // It stays where it is as long as enough workers are left there: else it might move for ever.
    const auto& here = node_workers_.at(gathering_->node);
    const auto fit = std::count_if(here.begin(), here.end(),
                                   [&](WorkerId id) { return may_join(workers_.at(id), gathering_->with_held_back); });
    if (static_cast<std::size_t>(fit) >= size) return false;
    stop_gathering();
  }
  const auto best = best_node(*job, now);
  if (!best) return false;
  gather(*best);
  return true;
}

/// The lease goes to as many of `from` as it wants, those first whose device the job has not failed on.
void Scheduler::assign_together(std::size_t job, const std::set<WorkerId>& from, Time now) {
  JobStatus& s = status_[job];
  const std::set<std::string>& failed_on = trouble(JobIndex(static_cast<std::uint32_t>(job))).failed_devices;
  std::vector<WorkerId> members(from.begin(), from.end());
  std::stable_sort(members.begin(), members.end(), [&](WorkerId a, WorkerId b) {
    const auto doubts = [&](WorkerId id) {
      const WorkerStatus& w = workers_.at(id);
      return std::pair(blame_.held_back(w.device_index), failed_on.contains(w.device));
    };
    return doubts(a) < doubts(b);
  });
  members.resize(nodes_[job].gang);
  set_state(job, JobState::running, now);
  s.worker = members.front();
  const Lease lease{static_cast<std::uint32_t>(job), ++s.attempt};
  gangs_[job] = {members, members};
  for (const WorkerId id : members) {
    blame_.began(workers_.at(id).device_index);
    begin(id, lease, now);
    refresh(id);
    actions_.emplace_back(action::Assign{id, lease, members});
  }
  refresh_touched();
}

/// Whether the worker can be a member, once it is free.
bool Scheduler::may_join(const WorkerStatus& w, bool with_held_back) const {
  if (w.lost || w.suspect) return false;
  return blame_.may_work(w.device_index) || (with_held_back && blame_.held_back(w.device_index));
}

/// The node where enough workers are expected to come free first; one that needs devices that are held back only where
/// no other can do. O(workers log workers), once a gang.
std::optional<Gathering> Scheduler::best_node(std::size_t job, Time now) const {
  std::optional<Gathering> best;
  std::tuple<bool, Time> least{true, kNever};
  for (const auto& [node, ids] : node_workers_) {
    for (const bool with_held_back : {false, true}) {
      std::vector<Time> free;
      for (const WorkerId id : ids) {
        const WorkerStatus& w = workers_.at(id);
        if (!may_join(w, with_held_back)) continue;
        const auto left = [&] { return status_[w.lease->job].since + estimate(JobIndex(w.lease->job)).p50 - now; };
        free.push_back(w.lease ? std::max(0.0, left()) : 0.0);
      }
      if (free.size() < nodes_[job].gang) continue;
      std::sort(free.begin(), free.end());
      const std::tuple key{with_held_back, free[nodes_[job].gang - 1U]};
      if (!best || key < least) {
        best = {job, node, with_held_back};
        least = key;
      }
      break;
    }
  }
  return best;
}

void Scheduler::gather(const Gathering& gathering) {
  gathering_ = gathering;
  for (const WorkerId id : node_workers_.at(gathering_->node)) refresh(id);
}

void Scheduler::stop_gathering() {
  if (!gathering_) return;
  const std::string node = gathering_->node;
  gathering_.reset();
  for (const WorkerId id : node_workers_.at(node)) refresh(id);
}

/// One member has nothing more to do with the job, which the others end or hand back. When none is left there is no
/// result: a planned stop, or a gang that did not come together, which blames no device.
void Scheduler::leave_gang(std::size_t job, WorkerId id, Time now) {
  Gang& gang = gangs_.at(job);
  std::erase(gang.here, id);
  if (!gang.here.empty()) return;
  if (!stopping_)
    return fail(job, status_[job].worker, ErrorClass::io,
                "the gang broke up: no member is left, and none has failed by itself", now);
  gangs_.erase(job);
  set_state(job, JobState::ready, now);
}

/// One member has handed the job back: the others are asked to. They keep their lease until they have, since one of
/// them may be the culprit, which its agent is about to report.
void Scheduler::break_up(std::size_t job, WorkerId because_of) {
  Gang& gang = gangs_.at(job);
  if (std::exchange(gang.breaking_up, true) || stopping_) return;
  for (const WorkerId id : gang.here) {
    if (id != because_of)
      actions_.emplace_back(action::Cancel{id, {static_cast<std::uint32_t>(job), status_[job].attempt}});
  }
}

/// Who is still at it gets no say any more. Agents finish with the old lease before they begin the next one.
void Scheduler::dissolve(std::size_t job, Time now) {
  const Lease lease{static_cast<std::uint32_t>(job), status_[job].attempt};
  for (const WorkerId id : std::exchange(gangs_.at(job).here, {})) {
    actions_.emplace_back(action::Cancel{id, lease});
    blame_.undecided(workers_.at(id).device_index);
    release(id, lease, now);
  }
}

/// Whether the first gang can never start in this life: no node has so many workers that are left and trusted, or will
/// be on trial, and no more of them are starting.
bool Scheduler::gang_is_hopeless(Time now) const {
  if (ready_gangs_.empty() || !ever_joined_ || now <= last_joined_ + config_.suspect_after) return false;
  return std::none_of(node_workers_.begin(), node_workers_.end(), [&](const auto& node) {
    const auto able = std::count_if(node.second.begin(), node.second.end(), [&](WorkerId id) {
      const WorkerStatus& w = workers_.at(id);
      return !w.lost && (!blame_.fenced(w.device_index) || blame_.will_be_tried(w.device_index));
    });
    return able >= nodes_[ready_gangs_.first()].gang;
  });
}

}  // namespace guda::orchestrator
