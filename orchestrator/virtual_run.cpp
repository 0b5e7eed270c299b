#include "orchestrator/virtual_run.hpp"

#include <limits>
#include <queue>
#include <string>
#include <tuple>

namespace guda::orchestrator {

VirtualRun run_virtually(const std::vector<JobNode>& jobs, const std::vector<bool>& committed, std::uint32_t workers) {
  constexpr Time kNever = std::numeric_limits<Time>::infinity();
  Scheduler scheduler(jobs, committed, {.suspect_after = kNever, .lost_after = kNever, .no_progress_after = kNever});
  struct Completion {
    Time at;
    WorkerId worker;
    Lease lease;
    bool operator>(const Completion& other) const { return std::tie(at, worker) > std::tie(other.at, other.worker); }
  };
  std::priority_queue<Completion, std::vector<Completion>, std::greater<>> running;
  VirtualRun result;
  double busy = 0;
  Time now = 0;
  std::vector<JobIndex> uncommitted;
  const auto perform = [&](std::vector<Action> actions) {
    for (const Action& a : actions) {
      if (const auto* assign = std::get_if<action::Assign>(&a)) {
        const double cost = jobs[assign->lease.job].cost;
        busy += cost;
        running.push({now + cost, assign->worker, assign->lease});
      } else if (const auto* commit = std::get_if<action::Commit>(&a)) {
        uncommitted.emplace_back(commit->lease.job);
      }
    }
  };
  for (std::uint32_t w = 1; w <= workers; ++w) perform(scheduler.on(event::WorkerJoined{WorkerId(w), "virtual/" + std::to_string(w), "virtual"}, 0));
  while (!running.empty()) {
    const Completion next = running.top();
    running.pop();
    now = next.at;
    perform(scheduler.on(event::Finished{next.worker, next.lease, jobs[next.lease.job].cost}, now));
    while (!uncommitted.empty()) {
      const JobIndex job = uncommitted.back();
      uncommitted.pop_back();
      perform(scheduler.on(event::Committed{job}, now));
    }
  }
  result.makespan = now;
  result.utilisation = now > 0 ? busy / (now * workers) : 1;
  return result;
}

}  // namespace guda::orchestrator
