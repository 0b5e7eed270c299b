#pragma once
// Feeds a scheduler, checks its invariants after every event, and commits as the shell does.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "orchestrator/scheduler.hpp"

namespace guda::test {

using namespace guda::orchestrator;

inline JobNode job(double cost, std::vector<std::uint32_t> inputs = {}, std::uint32_t kind = 0,
                   bool checkpoints = false, std::uint16_t gang = 1) {
  JobNode node{cost, {}, kind, checkpoints, gang};
  for (const auto i : inputs) node.inputs.emplace_back(i);
  return node;
}

struct SchedulerBench {
  explicit SchedulerBench(const HugeVector<JobNode>& jobs, const SchedulerConfig& config = {},
                          const History& history = {})
      : nodes(jobs), scheduler(jobs, std::vector<bool>(jobs.size(), false), config, history) {}

  std::vector<Action> feed(const Event& event) {
    auto actions = scheduler.on(event, now);
    scheduler.check_invariants();
    for (const Action& a : actions) {
      if (const auto* assign = std::get_if<action::Assign>(&a)) {
        held[assign->worker] = assign->lease;
        if (lost.contains(assign->worker)) throw Bug("a lost worker got a job");
        if (committed.contains(assign->lease.job)) throw Bug("a committed job was leased again");
        check_gang(*assign, actions);
        const bool again = !assign->gang.empty() && assign->worker != assign->gang.front();
        if (assign->lease.attempt < attempts[assign->lease.job] + (again ? 0 : 1))
          throw Bug("an attempt number was used twice");
        attempts[assign->lease.job] = assign->lease.attempt;
        if (exit_code) throw Bug("a job was leased after the end");
      }
      if (const auto* gone = std::get_if<action::LoseWorker>(&a)) lost.insert(gone->worker);
      if (const auto* commit = std::get_if<action::Commit>(&a)) pending.push_back(JobIndex(commit->lease.job));
      if (const auto* fence = std::get_if<action::RecordFence>(&a)) fences.push_back(*fence);
      if (const auto* failure = std::get_if<action::RecordFailure>(&a)) failures.push_back(*failure);
      if (const auto* finish = std::get_if<action::Finish>(&a)) {
        exit_code = finish->exit_code;
        reason = finish->reason;
        planned = finish->planned;
      }
    }
    return actions;
  }
  /// All members, of one node, get their lease at the same moment.
  void check_gang(const action::Assign& assign, const std::vector<Action>& actions) const {
    if (assign.gang.size() != (nodes[assign.lease.job].gang == 1 ? 0 : nodes[assign.lease.job].gang))
      throw Bug("a gang of another size");
    for (const WorkerId member : assign.gang) {
      if (scheduler.workers().at(member).node != scheduler.workers().at(assign.worker).node)
        throw Bug("a gang over two nodes");
      const bool told = std::any_of(actions.begin(), actions.end(), [&](const Action& a) {
        const auto* other = std::get_if<action::Assign>(&a);
        return other && other->worker == member && other->lease == assign.lease && other->gang == assign.gang;
      });
      if (!told) throw Bug("a member got its lease at another moment");
    }
  }
  std::vector<Action> join(WorkerId w, const std::string& node = "node") {
    return feed(event::WorkerJoined{w, node + "/cpu" + std::to_string(w.value), node});
  }
  std::vector<Action> finish(WorkerId w, double seconds = 1) { return feed(event::Finished{w, held.at(w), seconds}); }
  std::vector<Action> fail(WorkerId w, ErrorClass error = ErrorClass::crash) {
    return feed(event::Failed{w, held.at(w), error, "on purpose"});
  }
  std::vector<Action> tick(double seconds) {
    now += seconds;
    return feed(event::Tick{});
  }
  void commit_all() {
    while (!pending.empty()) {
      const JobIndex j = pending.back();
      pending.pop_back();
      ++committed[j.value];
      feed(event::Committed{j});
    }
  }
  [[nodiscard]] const JobStatus& status(std::size_t job) const { return scheduler.jobs()[job]; }
  [[nodiscard]] const JobTrouble& trouble(std::uint32_t job) const { return scheduler.trouble(JobIndex(job)); }
  [[nodiscard]] bool busy(WorkerId w) const { return scheduler.workers().at(w).lease.has_value(); }
  [[nodiscard]] std::uint32_t job_of(WorkerId w) const { return scheduler.workers().at(w).lease.value().job; }

  HugeVector<JobNode> nodes;
  Scheduler scheduler;
  Time now = 0;
  std::map<WorkerId, Lease> held;
  std::set<WorkerId> lost;
  std::vector<JobIndex> pending;
  std::map<std::uint32_t, int> committed;
  std::map<std::uint32_t, std::uint32_t> attempts;
  std::vector<action::RecordFence> fences;
  std::vector<action::RecordFailure> failures;
  std::optional<int> exit_code;
  std::string reason;
  bool planned = true;
};

template <class T>
std::size_t count_of(const std::vector<Action>& actions) {
  return static_cast<std::size_t>(
      std::count_if(actions.begin(), actions.end(), [](const Action& a) { return std::holds_alternative<T>(a); }));
}

}  // namespace guda::test
