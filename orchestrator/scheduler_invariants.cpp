// What is true of a scheduler after every event. Tests ask; nothing else does.
#include <array>
#include <cmath>
#include <map>

#include "orchestrator/scheduler.hpp"

namespace guda::orchestrator {

void Scheduler::check_invariants() const {
  const auto require = [](bool ok, const char* what) {
    if (!ok) throw Bug(what);
  };
  std::array<std::size_t, kJobStates> counts{};
  std::map<std::uint32_t, std::size_t> holders;
  std::size_t live = 0;
  for (const auto& [id, worker] : workers_) {
    live += worker.lost ? 0 : 1;
    require(!(worker.lost && worker.lease), "a lost worker holds a lease");
    const bool kept = gathering_ && gathering_->node == worker.node;
    const bool may = !worker.lost && !worker.suspect && !worker.lease && blame_.may_work(worker.device_index);
    require(idle_.contains(id) == (may && !kept), "the idle workers are wrong");
    if (has_gangs_) {
      require(idle_nodes_.contains(worker.node, id) == (may && !kept), "the idle workers of a node are wrong");
      require(gathered_.contains(id) == (kept && !worker.lease && may_join(worker, gathering_->with_held_back)),
              "the gathered workers are wrong");
    }
    require(worker.ahead.size() <= config_.ahead && (worker.lease || worker.ahead.empty()),
            "a worker has more ahead than it may");
    if (!worker.lease) continue;
    std::deque<Lease> leases = worker.ahead;
    leases.push_front(*worker.lease);
    for (const Lease& lease : leases) {
      ++holders[lease.job];
      require(is_current(id, lease), "a lease without its running job");
    }
  }
  require(live == live_workers_, "the number of live workers is wrong");
  std::vector<WorkLeft> left(left_.size());
  for (std::size_t i = 0; i < status_.size(); ++i) {
    const JobStatus& s = status_[i];
    ++counts[static_cast<std::size_t>(s.state)];
    if (s.state == JobState::running) {
      const std::size_t wanted = is_gang(i) ? gangs_.at(i).here.size() : 1;
      require(wanted > 0 && holders[static_cast<std::uint32_t>(i)] == wanted, "a running job has not its holders");
    }
    if (is_gang(i)) {
      const bool whole = s.state == JobState::running || s.state == JobState::committing;
      require(gangs_.contains(i) == whole, "a gang without its job");
      require(!whole || gangs_.at(i).members.size() == nodes_[i].gang, "a gang of another size");
    }
    if (s.state == JobState::ready || s.state == JobState::running || s.state == JobState::committing) {
      for (const JobIndex input : nodes_[i].inputs)
        require(status_[input.value].state == JobState::done, "a job runs before its inputs");
    }
    const bool queued = is_gang(i) ? ready_gangs_.contains(i) && !ready_.contains(i) : ready_.contains(i);
    require(queued == (s.state == JobState::ready), "the ready queue disagrees with the states");
    require(backing_off_.contains({s.retry_at, i}) == (s.state == JobState::backing_off),
            "the back-off queue disagrees with the states");
    if (is_final(s.state)) continue;
    left[nodes_[i].kind].predicted += device_seconds(i);
    ++left[nodes_[i].kind].jobs;
  }
  require(counts == counts_, "state counts are wrong");
  require(!gathering_ || ready_gangs_.contains(gathering_->job), "workers are kept for a gang that does not wait");
  for (const auto& [job, gang] : gangs_) {
    for (const WorkerId id : gang.here) {
      const WorkerStatus& member = workers_.at(id);
      require(member.node == workers_.at(gang.members.front()).node, "a gang over two nodes");
      require(member.lease && member.lease->job == job, "a member without its lease");
    }
  }
  for (std::size_t kind = 0; kind < left.size(); ++kind) {
    require(left[kind].jobs == left_[kind].jobs, "the number of open jobs is wrong");
    require(std::abs(left[kind].predicted - left_[kind].predicted) < 1e-6 * (1 + left[kind].predicted),
            "the remaining cost is wrong");
  }
}

}  // namespace guda::orchestrator
