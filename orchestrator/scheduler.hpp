#pragma once
// Who does what next, as a pure function of events: no MPI, no files, no clock, no threads. The shell (serve.cpp) feeds
// events and performs actions; tests enumerate event orders; virtual_run.cpp runs it in virtual time.
#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <queue>
#include <set>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "orchestrator/cost_model.hpp"
#include "orchestrator/device_blame.hpp"
#include "orchestrator/gang_queue.hpp"
#include "orchestrator/ready_queue.hpp"
#include "orchestrator/scheduler_events.hpp"

namespace guda::orchestrator {

class Scheduler {
 public:
  /// `committed[i]` is true for jobs that the journal already holds.
  Scheduler(HugeVector<JobNode> jobs, const std::vector<bool>& committed, SchedulerConfig config,
            const History& history = {});

  /// The only way in. Costs O(log jobs + log workers), amortised: nothing loops over all jobs or workers but the rare
  /// StopRequested, the end, a new order of the ready jobs when the costs of a kind turn out to be others, and the
  /// choice of a node where a gang gathers.
  [[nodiscard]] std::vector<Action> on(const Event& event, Time now);

  [[nodiscard]] const HugeVector<JobStatus>& jobs() const { return status_; }
  [[nodiscard]] const JobTrouble& trouble(JobIndex job) const;
  [[nodiscard]] const std::map<WorkerId, WorkerStatus>& workers() const { return workers_; }
  [[nodiscard]] std::size_t count(JobState state) const { return counts_[static_cast<std::size_t>(state)]; }
  [[nodiscard]] bool finished() const { return finished_; }
  [[nodiscard]] const DeviceBlame& blame() const { return blame_; }
  [[nodiscard]] const CostModel& costs() const { return costs_; }
  [[nodiscard]] std::size_t live_workers() const { return live_workers_; }
  /// Whether a worker has nothing to do: it may be waiting for a commit.
  [[nodiscard]] bool has_idle_worker() const { return !idle_.empty(); }
  /// The job that a worker which begins now will probably be given next: of those that are ready, the one that has as
  /// many before it as there are other workers. A guess, for reading ahead.
  [[nodiscard]] std::optional<JobIndex> likely_next() const;
  /// Who does or did the current attempt of a job together, in rank order; empty for a job of one worker.
  [[nodiscard]] std::vector<WorkerId> gang_of(JobIndex job) const;
  /// Device-seconds that are left, running jobs counted whole.
  [[nodiscard]] CostRange remaining() const { return costs_.total(left_); }
  /// Seconds that this job will take, whole.
  [[nodiscard]] CostRange estimate(JobIndex job) const {
    return costs_.estimate(nodes_[job.value].kind, nodes_[job.value].cost);
  }
  [[nodiscard]] bool fits_deadline(JobIndex job, Time now) const;
  /// Seconds that were planned for this job.
  [[nodiscard]] double planned(JobIndex job) const { return nodes_[job.value].cost; }

  /// Throws Bug when an invariant is broken: used by tests after every event.
  void check_invariants() const;

 private:
  void handle(const event::WorkerJoined& e, Time now);
  void handle(const event::WorkerGone& e, Time now);
  void handle(const event::Heartbeat& e, Time now);
  void handle(const event::Finished& e, Time now);
  void handle(const event::Failed& e, Time now);
  void handle(const event::Returned& e, Time now);
  void handle(const event::Committed& e, Time now);
  void handle(const event::CommitRefused& e, Time now);
  void handle(const event::StopRequested& e, Time now);
  void handle(const event::DrainRequested& e, Time now);
  void handle(const event::DeadlineSet& e, Time now);
  void handle(const event::Retry& e, Time now);
  void handle(const event::Unfence& e, Time now);
  void handle(const event::Tick& e, Time now);

  void link_users(const std::vector<bool>& committed);
  [[nodiscard]] std::span<const std::uint32_t> users_of(std::size_t job) const {
    return std::span(users_).subspan(users_begin_[job], users_begin_[job + 1] - users_begin_[job]);
  }
  void set_state(std::size_t job, JobState state, Time now);
  const JobTrouble& count_failure(std::size_t job, ErrorClass error, const std::string& device);
  void restore(const History& history);
  void fail(std::size_t job, WorkerId worker, ErrorClass error, const std::string& text, Time now);
  void quarantine(std::size_t job, Time now);
  void lose(WorkerId worker, Time now, const std::string& why);
  WorkerStatus* hear(WorkerId worker, Time now);
  void release(WorkerId worker, const Lease& lease, Time now);
  void begin(WorkerId worker, const Lease& lease, Time now);
  void take_back_ahead(WorkerId worker, Time now);
  void refresh(WorkerId worker);
  void refresh_touched();
  bool is_current(WorkerId worker, const Lease& lease) const;
  void check_silence(WorkerId worker, Time now);
  void check_progress(WorkerId worker, const Lease& lease, Time at, Time now);
  [[nodiscard]] Time progress_due(std::size_t job) const;
  void watch_progress(WorkerId worker, std::size_t job);
  void assign_idle(Time now);
  void assign_again(Time now);
  bool assign_fresh(Time now);
  void assign_ahead(Time now);
  [[nodiscard]] bool may_wait_behind(const WorkerStatus& worker, std::size_t job) const;
  void assign(WorkerId worker, std::size_t job, Time now);
  void prefetch_behind(std::size_t job) const;
  [[nodiscard]] std::optional<WorkerId> home_of(std::size_t job) const;
  [[nodiscard]] std::size_t nearest(WorkerId worker, std::size_t top) const;
  [[nodiscard]] Time time_to_safety(std::size_t job, double CostRange::* quantile) const;
  void learn(std::size_t job);
  void order_ready();
  void enter_queue(std::size_t job);
  void leave_queue(std::size_t job);
  [[nodiscard]] double device_seconds(std::size_t job) const { return nodes_[job].cost * nodes_[job].gang; }
  [[nodiscard]] bool is_gang(std::size_t job) const { return nodes_[job].gang > 1; }

  // scheduler_gangs.cpp
  bool assign_gang(Time now, bool before_longer);
  void assign_together(std::size_t job, const std::set<WorkerId>& from, Time now);
  [[nodiscard]] std::optional<std::size_t> next_gang(Time now) const;
  [[nodiscard]] std::optional<Gathering> best_node(std::size_t job, Time now) const;
  [[nodiscard]] bool may_join(const WorkerStatus& worker, bool with_held_back) const;
  void gather(const Gathering& gathering);
  void stop_gathering();
  void leave_gang(std::size_t job, WorkerId worker, Time now);
  void break_up(std::size_t job, WorkerId because_of);
  void dissolve(std::size_t job, Time now);
  [[nodiscard]] bool gang_is_hopeless(Time now) const;
  void finish_when_done(Time now);
  void finish(int code, std::string reason, bool planned = true);

  struct Check {  // something to look at when its time has come
    Time at;
    WorkerId worker;
    std::optional<Lease> lease;  // none: silence; else progress of this lease
    bool operator>(const Check& other) const { return at > other.at; }
  };

  HugeVector<JobNode> nodes_;
  std::vector<std::uint32_t> users_,
      users_begin_;  // jobs that read job i: users_[users_begin_[i] .. users_begin_[i + 1]]
  HugeVector<JobStatus> status_;
  std::unordered_map<std::size_t, JobTrouble> troubles_;  // by job
  std::array<std::size_t, kJobStates> counts_{};
  std::vector<WorkLeft> left_;  // by kind
  ReadyQueue ready_;
  std::set<std::pair<Time, std::size_t>> backing_off_;
  CostModel costs_;
  std::vector<double> ordered_ratios_;  // by kind, at the last order_ready()
  std::size_t commits_since_order_ = 0;
  DeviceBlame blame_;
  std::vector<std::vector<WorkerId>> device_workers_;
  std::map<WorkerId, WorkerStatus> workers_;
  std::set<WorkerId> idle_;    // may get a job now
  std::set<WorkerId> hungry_;  // at a short job, may get more of them ahead
  bool has_gangs_ = false;     // without, none of the next five is ever touched
  GangQueue ready_gangs_;
  std::map<std::size_t, Gang> gangs_;  // of jobs that run or are being committed
  IdleNodes idle_nodes_;               // idle_ by node
  std::optional<Gathering> gathering_;
  std::set<WorkerId> gathered_;  // idle, and kept for it
  std::map<std::string, std::vector<WorkerId>> node_workers_;
  std::size_t live_workers_ = 0;
  Time last_joined_ = 0;
  std::priority_queue<Check, std::vector<Check>, std::greater<>> checks_;
  SchedulerConfig config_;
  bool stopping_ = false, draining_ = false, finished_ = false, ever_joined_ = false;
  std::vector<Action> actions_;
};

}  // namespace guda::orchestrator
