#include "orchestrator/virtual_run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <queue>
#include <random>
#include <set>
#include <string>
#include <tuple>

namespace guda::orchestrator {
namespace {

constexpr Time kForever = kNever;

struct Ending {
  Time at;
  WorkerId worker;
  Lease lease;
  Time began;
  bool crash;
  std::uint32_t workers;  // one, or a gang
  bool operator>(const Ending& other) const { return std::tie(at, worker) > std::tie(other.at, other.worker); }
};

/// One life: a scheduler, its workers, and the jobs that end one after another.
class VirtualLife {
 public:
  VirtualLife(const HugeVector<JobNode>& jobs, std::vector<bool>& committed, std::vector<double>& saved,
              const std::vector<bool>& checkpoints, const VirtualOptions& options, std::mt19937_64& random,
              VirtualRun& run)
      : committed_(committed),
        saved_(saved),
        checkpoints_(checkpoints),
        options_(options),
        random_(random),
        run_(run),
        end_(options.life > 0 ? options.life : kForever),
        scheduler_(left(jobs, saved), committed, config(), known_costs(jobs)) {}

  /// Until everything is done or the walltime ends. Returns the time that passed.
  Time go() {
    for (std::uint32_t w = 1; w <= options_.workers; ++w) {
      const std::uint32_t node = (w - 1) / std::max(1U, options_.workers_per_node);
      feed(event::WorkerJoined{WorkerId(w), fmt::format("n{}/gpu{}", node, w), fmt::format("n{}", node)},
           options_.startup);
    }
    Time now = 0;
    while (!running_.empty() && running_.top().at <= end_) {
      const Ending next = running_.top();
      running_.pop();
      now = next.at;
      if (next.crash) {
        ++run_.failures;
        run_.lost_seconds += (next.at - next.began) * next.workers;
        feed(event::Failed{next.worker, next.lease, ErrorClass::crash, ""}, now);
      } else {
        feed(event::Finished{next.worker, next.lease, next.at - next.began}, now);
      }
    }
    if (running_.empty()) {
      run_.quarantined = scheduler_.count(JobState::quarantined) + scheduler_.count(JobState::blocked);
      return now;
    }
    // The walltime ends: what runs is cut off; what has checkpoints goes on from the last one.
    for (; !running_.empty(); running_.pop()) {
      const Ending& cut = running_.top();
      const double did = end_ - cut.began;
      busy_ -= (cut.at - end_) * cut.workers;
      const double kept = options_.checkpoint > 0 && checkpoints_.size() > cut.lease.job && checkpoints_[cut.lease.job]
                              ? did - std::min(did, options_.checkpoint / 2)
                              : 0;
      saved_[cut.lease.job] += kept;
      run_.lost_seconds += (did - kept) * cut.workers;
    }
    return end_;
  }

  [[nodiscard]] bool finished() const {
    return scheduler_.count(JobState::done) + scheduler_.count(JobState::quarantined) +
               scheduler_.count(JobState::blocked) ==
           scheduler_.jobs().size();
  }
  [[nodiscard]] double busy() const { return busy_; }
  [[nodiscard]] std::uint64_t commits() const { return commits_; }
  /// Busy worker-seconds and time up to the moment when nothing was left to start; time 0: that moment did not come.
  [[nodiscard]] std::pair<double, Time> before_tail() const { return {tail_busy_, tail_at_}; }

 private:
  static HugeVector<JobNode> left(HugeVector<JobNode> jobs, const std::vector<double>& saved) {
    for (std::size_t i = 0; i < jobs.size(); ++i) jobs[i].cost = std::max(0.0, jobs[i].cost - saved[i]);
    return jobs;
  }

  [[nodiscard]] SchedulerConfig config() const {
    SchedulerConfig c;
    c.suspect_after = c.lost_after = c.no_progress_after = kForever;
    c.deadline = end_;
    return c;
  }

  /// Predictions are right here, and the scheduler may know it: of each kind some jobs have been seen.
  static History known_costs(const HugeVector<JobNode>& jobs) {
    History history;
    std::set<std::uint32_t> kinds;
    for (const JobNode& job : jobs) kinds.insert(job.kind);
    for (const std::uint32_t kind : kinds) {
      for (int i = 0; i < 30; ++i) history.costs.push_back({kind, 1, 1});
    }
    return history;
  }

  void feed(const Event& event, Time now) {
    ++run_.events;
    perform(scheduler_.on(event, now), now);
    // The journal is instantaneous here. Commits are answered one by one, as after one sync of the store.
    while (!uncommitted_.empty()) {
      const JobIndex job = uncommitted_.back();
      uncommitted_.pop_back();
      ++run_.events;
      ++commits_;
      committed_[job.value] = true;
      perform(scheduler_.on(event::Committed{job}, now), now);
    }
    if (tail_at_ == 0 && scheduler_.count(JobState::ready) + scheduler_.count(JobState::waiting) == 0) {
      tail_at_ = now;
      tail_busy_ = busy_ - future(now);
    }
  }

  /// Worker-seconds that running jobs will still use after `now`.
  [[nodiscard]] double future(Time now) {
    std::vector<Ending> kept;
    double sum = 0;
    for (; !running_.empty(); running_.pop()) {
      sum += (running_.top().at - now) * running_.top().workers;
      kept.push_back(running_.top());
    }
    for (const Ending& e : kept) running_.push(e);
    return sum;
  }

  void perform(const std::vector<Action>& actions, Time now) {
    for (const Action& a : actions) {
      if (const auto* assign = std::get_if<action::Assign>(&a)) start(*assign, now);
      else if (const auto* commit = std::get_if<action::Commit>(&a)) uncommitted_.emplace_back(commit->lease.job);
    }
  }

  void start(const action::Assign& assign, Time now) {
    if (!assign.gang.empty() && assign.worker != assign.gang.front()) return;  // its root stands for all
    const std::set<WorkerId> workers =
        assign.gang.empty() ? std::set{assign.worker} : std::set(assign.gang.begin(), assign.gang.end());
    const std::size_t job = assign.lease.job;
    double seconds = options_.seconds.empty() ? scheduler_.planned(JobIndex(assign.lease.job))
                                              : std::max(0.0, options_.seconds[job] - saved_[job]);
    if (options_.spread > 0) seconds *= 1 + options_.spread * (2 * uniform() - 1);
    const bool broken = workers.contains(WorkerId(options_.broken_worker));
    const bool crash = broken || (options_.failures > 0 && uniform() < options_.failures);
    if (crash) seconds *= broken ? 0.01 : uniform();
    if (broken) ++run_.broken_failures;
    busy_ += seconds * double(workers.size());
    running_.push({now + seconds, broken ? WorkerId(options_.broken_worker) : assign.worker, assign.lease, now, crash,
                   static_cast<std::uint32_t>(workers.size())});
  }

  double uniform() { return std::generate_canonical<double, 53>(random_); }

  std::vector<bool>& committed_;
  std::vector<double>& saved_;
  const std::vector<bool>& checkpoints_;
  const VirtualOptions& options_;
  std::mt19937_64& random_;
  VirtualRun& run_;
  const Time end_;
  Scheduler scheduler_;
  std::priority_queue<Ending, std::vector<Ending>, std::greater<>> running_;
  std::vector<JobIndex> uncommitted_;
  double busy_ = 0, tail_busy_ = 0;
  Time tail_at_ = 0;
  std::uint64_t commits_ = 0;
};

}  // namespace

VirtualRun run_virtually(const HugeVector<JobNode>& jobs, std::vector<bool> committed, const VirtualOptions& options,
                         const std::vector<bool>& checkpoints) {
  VirtualRun run;
  std::mt19937_64 random(options.seed);
  std::vector<double> saved(jobs.size(), 0);
  double busy = 0, working = 0;
  while (true) {
    const double saved_before = std::accumulate(saved.begin(), saved.end(), 0.0);
    VirtualLife life(jobs, committed, saved, checkpoints, options, random, run);
    const Time took = life.go();
    ++run.lives;
    run.makespan += took;
    working += took;
    busy += life.busy();
    if (const auto [tail_busy, at] = life.before_tail(); at > 0) {
      run.utilisation_before_tail = (busy - life.busy() + tail_busy) / ((working - took + at) * options.workers);
    }
    if (life.finished() || options.life == 0) {
      run.finished = life.finished();
      break;
    }
    if (life.commits() == 0 && std::accumulate(saved.begin(), saved.end(), 0.0) <= saved_before) break;
    run.makespan += options.requeue;
  }
  run.utilisation = working > 0 ? busy / (working * options.workers) : 1;
  if (run.utilisation_before_tail == 0) run.utilisation_before_tail = run.utilisation;
  return run;
}

}  // namespace guda::orchestrator
