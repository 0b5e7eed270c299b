#include "orchestrator/serve.hpp"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <deque>
#include <thread>
#include <unordered_map>

#include "common/chaos.hpp"
#include "common/clock.hpp"
#include "common/error.hpp"
#include "common/gang_memory.hpp"
#include "common/process.hpp"
#include "orchestrator/control.hpp"
#include "orchestrator/inject.hpp"
#include "orchestrator/recent_rate.hpp"
#include "orchestrator/run_history.hpp"
#include "orchestrator/run_status.hpp"
#include "orchestrator/run_store.hpp"
#include "orchestrator/schedule_status.hpp"
#include "orchestrator/scheduler.hpp"

namespace guda::orchestrator {
namespace {

class Coordinator {
 public:
  Coordinator(Channel& channel, const RunLayout& run, const jobs::Plan& plan, const Life& life)
      : channel_(channel),
        run_(run),
        plan_(plan),
        life_(life),
        chaos_(parse_chaos(life.chaos)),
        start_(steady_seconds()),
        starting_(announce()),
        store_(run, plan, life.epoch, life.chaos, life.visible_within),
        scheduler_(nodes_of(plan), store_.settled(), limits(life), store_.history()) {
    for (std::uint32_t i = 0; i < plan_.jobs.size(); ++i) {
      if (const auto done = store_.commits().find(plan_.jobs[i].digest); done != store_.commits().end())
        device_seconds_ += done->second.seconds * jobs::gang_of(plan_.jobs[i].work);
      if (scheduler_.jobs()[i].state == JobState::quarantined) quarantined_.emplace_back(i);
    }
  }

  int run(const std::atomic<int>& stop) {
    feed(event::Tick{});  // a plan that is already complete ends here
    while (!exit_code_) {
      bool moved = receive();
      moved = try_commits() || moved;
      moved = sync() || moved;
      deliver();
      const double t = steady_seconds();
      if (stop && !stopping_) {
        stopping_ = true;
        feed(event::StopRequested{});
      }
      if (t - last_tick_ >= kTick) {
        // A slow disk may have held us up for longer than a worker may be silent: first hear what it said meanwhile.
        static_cast<void>(receive());
        tick(t);
        deliver();
      }
      if (!moved) rest(t);
      else idle_since_ = t;
    }
    deliver();
    store_.end(end_reason_, *exit_code_);
    write_status("ended");
    // Give the goodbyes time to leave before the process ends.
    for (const double until = steady_seconds() + 0.2; steady_seconds() < until;) static_cast<void>(channel_.receive());
    return *exit_code_;
  }

 private:
  /// Says who we are before the journal is replayed, which may take long: a supervisor sees our death at once.
  bool announce() {
    RunStatus s = status_of_life(life_, ++sequence_);
    s.state = "starting";
    replace_file(run_.status(), Json(s).dump(1), false);
    return true;
  }

  /// The deadline on the scheduler's clock.
  static SchedulerConfig limits(const Life& life) {
    SchedulerConfig config = life.scheduler;
    config.ahead = kAhead;
    if (life.deadline > 0) config.deadline = steady_seconds() + (life.deadline - unix_seconds());
    return config;
  }

  struct Peer {
    message::Hello hello;
    message::Beat beat;
  };
  struct PendingCommit {
    WorkerId worker;
    message::Done done;
    double give_up_at = 0, try_at = 0;
  };

  void feed(const Event& event) {
    for (const Action& action : scheduler_.on(event, steady_seconds()))
      std::visit([this](const auto& a) { perform(a); }, action);
  }

  bool receive() {
    bool moved = false;
    while (const auto envelope = channel_.receive()) {
      moved = true;
      try {
        hear(WorkerId(envelope->peer), decode(envelope->bytes));
      } catch (const Error& e) {
        note_error(fmt::format("rank {}: {}", envelope->peer, e.what()));
      }
    }
    return moved;
  }

  void hear(WorkerId worker, const Message& message) {
    if (const auto* hello = std::get_if<message::Hello>(&message)) {
      if (hello->token != life_.token) throw Error("a hello with a foreign token was ignored");
      peers_[worker].hello = *hello;
      feed(event::WorkerJoined{worker, hello->device, hello->node});
      return;
    }
    if (!peers_.contains(worker)) return;  // never said hello: not of this life
    if (const auto* beat = std::get_if<message::Beat>(&message)) {
      peers_[worker].beat = *beat;
      feed(event::Heartbeat{worker, beat->busy, beat->lease, beat->step, beat->checkpoint_in});
    } else if (const auto* done = std::get_if<message::Done>(&message)) {
      reported_[worker] = *done;
      feed(event::Finished{worker, done->lease, done->seconds});
    } else if (const auto* failed = std::get_if<message::Failed>(&message)) {
      feed(event::Failed{worker, failed->lease, failed->error, failed->text});
    } else if (const auto* returned = std::get_if<message::Returned>(&message)) {
      feed(event::Returned{worker, returned->lease});
    } else if (const auto* leaving = std::get_if<message::Leaving>(&message)) {
      note_error(fmt::format("{} leaves: {}", worker_name(worker), leaving->text));
      feed(event::WorkerGone{worker});
    }
  }

  void send(WorkerId worker, const Message& message) { outbox_.emplace_back(worker, encode(message)); }

  /// A lease is in the journal before its worker hears of it; one write serves all that a turn has handed out.
  void deliver() {
    if (outbox_.empty()) return;
    store_.write();
    for (auto& [worker, bytes] : outbox_) channel_.send(worker.value, std::move(bytes));
    outbox_.clear();
  }

  void perform(const action::Assign& a) {
    std::optional<GangSeat> seat;
    std::vector<std::string> members;
    if (!a.gang.empty()) {
      const auto rank = std::find(a.gang.begin(), a.gang.end(), a.worker) - a.gang.begin();
      seat = GangSeat{gang_memory_name(run_.folder, life_.epoch, a.lease), static_cast<std::uint32_t>(rank),
                      static_cast<std::uint32_t>(a.gang.size())};
      for (const WorkerId member : a.gang) members.push_back(worker_name(member));
    }
    if (!seat || seat->rank == 0)
      store_.add_lease(JobIndex(a.lease.job), a.lease.attempt, worker_name(a.worker), peers_.at(a.worker).hello.device,
                       members);
    const auto next = scheduler_.likely_next();
    send(a.worker, message::Assign{a.lease, seat, next ? std::optional(next->value) : std::nullopt});
  }
  void perform(const action::Cancel& a) { send(a.worker, message::Cancel{a.lease}); }
  void perform(const action::RestartWorker& a) { send(a.worker, message::Restart{}); }
  void perform(const action::DismissWorker& a) { send(a.worker, message::Dismiss{}); }
  void perform(const action::Finish& a) {
    exit_code_ = a.exit_code;
    const bool stage_ends = (a.exit_code == 0 || a.exit_code == 10) && jobs::awaits_next_stage(plan_);
    end_reason_ = stage_ends ? "stage " + a.reason : a.reason;
    planned_end_ = a.planned;
  }
  void perform(const action::RecordFence& a) {
    const bool node = a.device.empty();
    const std::string& name = node ? a.node : a.device;
    store_.add_fence({{node ? "node" : "device", name}, {"fenced", a.fenced}, {"why", a.why}});
    note_error(fmt::format("{} {} {}: {}", node ? "node" : "device", name, a.fenced ? "is fenced" : "is trusted again",
                           a.why));
  }
  void perform(const action::RecordRetry& a) {
    std::erase(quarantined_, a.job);
    store_.add_failure({{"job", plan_.jobs.at(a.job.value).digest.hex}, {"forgiven", true}});
  }
  void perform(const action::DropLate& a) {
    const message::Done& done = reported_.at(a.worker);
    store_.add_late(JobIndex(a.lease.job), a.lease.attempt, worker_name(a.worker), done.rows, done.metrics);
  }
  void perform(const action::Commit& a) {
    commits_.push_back({a.worker, reported_.at(a.worker), steady_seconds() + life_.visible_within, 0});
  }
  void perform(const action::LoseWorker& a) {
    channel_.abandon(a.worker.value);
    // A frozen rank would keep mpirun waiting for ever: on this node we can end it ourselves.
    const message::Hello& hello = peers_.at(a.worker).hello;
    if (hello.node == host_name() && hello.pid > 1 && std::filesystem::exists(fmt::format("/proc/{}/exe", hello.pid))) {
      std::error_code ignored;
      const auto program = std::filesystem::read_symlink(fmt::format("/proc/{}/exe", hello.pid), ignored);
      if (program.filename() == "guda-agent") ::kill(static_cast<pid_t>(hello.pid), SIGKILL);
    }
    note_error(fmt::format("{} is lost", worker_name(a.worker)));
  }
  void perform(const action::RecordFailure& a) {
    ++failures_;
    if (a.quarantined) quarantined_.emplace_back(a.lease.job);
    const std::string label = plan_.jobs.at(a.lease.job).label;
    store_.add_failure({{"job", job_digest(a.lease)},
                        {"label", label},
                        {"attempt", a.lease.attempt},
                        {"worker", worker_name(a.worker)},
                        {"device", peers_.at(a.worker).hello.device},
                        {"error", to_string(a.error)},
                        {"text", a.text},
                        {"quarantined", a.quarantined},
                        {"cure", a.cure}});
    note_error(fmt::format("{}{} on {}, attempt {}: {}: {}{}", label,
                           a.quarantined ? " is quarantined, failed" : " failed", worker_name(a.worker),
                           a.lease.attempt, to_string(a.error), a.text, a.cure.empty() ? "" : ". Cure: " + a.cure));
  }

  [[nodiscard]] std::string job_digest(const Lease& lease) const { return plan_.jobs.at(lease.job).digest.hex; }
  [[nodiscard]] std::string worker_name(WorkerId worker) const {
    const auto at = peers_.find(worker);
    return at == peers_.end() ? fmt::format("rank {}", worker.value)
                              : fmt::format("rank {} ({})", worker.value, at->second.hello.device);
  }

  /// Reads the rows of reported jobs. Rows written on another node may become visible late: they are looked at again.
  bool try_commits() {
    bool moved = false;
    const double t = steady_seconds();
    std::deque<PendingCommit> later;
    for (PendingCommit& pending : commits_) {
      if (pending.try_at > t) {
        later.push_back(std::move(pending));
        continue;
      }
      const JobIndex job(pending.done.lease.job);
      try {
        std::optional<RowRecord> rows;
        if (pending.done.rows.length > 0) rows = read_row_record(run_.rows(), pending.done.rows);
        Commit commit{plan_.jobs[job.value].digest, pending.done.lease.attempt,
                      worker_name(pending.worker),  peers_.at(pending.worker).hello.device,
                      pending.done.seconds,         pending.done.rows,
                      pending.done.metrics};
        store_.add(job, std::move(commit), std::move(rows));
        add_metrics(memory_, pending.done.metrics);
        device_seconds_ += pending.done.seconds * jobs::gang_of(plan_.jobs[job.value].work);
        moved = true;
      } catch (const Error& e) {
        if (t > pending.give_up_at) {
          feed(event::CommitRefused{job, e.what()});
          continue;
        }
        pending.try_at = t + 0.25;
        later.push_back(std::move(pending));
      }
    }
    commits_ = std::move(later);
    return moved;
  }

  /// One fdatasync for all jobs that end within a few milliseconds, but none is held back from a worker that waits.
  bool sync() {
    const double t = steady_seconds();
    if (!store_.dirty() || (t - synced_ < kGroupCommit && !scheduler_.has_idle_worker())) return false;
    synced_ = t;
    const auto done = store_.sync();
    for (const JobIndex job : done) {
      // A worker keeps those of a job that leaves rows, which would be lost with it before they are committed.
      if (const jobs::JobSpec& spec = plan_.jobs[job.value]; jobs::keeps_checkpoints(spec.work)) {
        std::error_code ignored;
        std::filesystem::remove_all(run_.checkpoints(spec.digest.hex), ignored);
      }
      ++committed_;
      rate_.add(t);
      feed(event::Committed{job});
    }
    for (std::string& note : store_.take_notes()) note_error(std::move(note));
    if (!life_.chaos.empty()) {
      for (const JobIndex job : done)
        inject(coordinator_fault(chaos_, plan_.jobs[job.value].label, life_.epoch), run_.journal(), life_.epoch);
    }
    return !done.empty();
  }

  void obey(const ControlRequest& request) {
    note_error(fmt::format("{} asks: {}", request.by, to_string(request.kind)));
    using Kind = ControlRequest::Kind;
    if (request.kind == Kind::drain) feed(event::DrainRequested{});
    if (request.kind == Kind::stop && !std::exchange(stopping_, true)) feed(event::StopRequested{});
    if (request.kind == Kind::stop_now) {
      exit_code_ = 75;
      end_reason_ = "stopped at once by " + request.by;
    }
    for (std::uint32_t i = 0; i < plan_.jobs.size(); ++i) {
      if (std::find(request.jobs.begin(), request.jobs.end(), plan_.jobs[i].digest) == request.jobs.end()) continue;
      feed(event::Retry{JobIndex(i)});
    }
    for (const std::string& name : request.unfence) feed(event::Unfence{name});
  }

  void tick(double t) {
    last_tick_ = t;
    feed(event::Tick{});
    if (t - last_status_ >= kStatus) {
      last_status_ = t;
      write_status(stopping_ ? "stopping" : "running");
      store_.check_owner();
      for (const ControlRequest& request : take_control(run_, life_.epoch)) obey(request);
    }
    if (t - last_pulse_ >= life_.beat_every) {
      last_pulse_ = t;
      for (const auto& [worker, peer] : peers_) send(worker, message::Pulse{});
    }
    if (peers_.empty() && t - start_ > life_.scheduler.lost_after) throw Error("no worker has said hello");
  }

  void rest(double t) {
    // Spin briefly after traffic, then sleep: an idle coordinator must not take a core from a worker.
    const double idle = t - idle_since_;
    if (idle < 50e-6) return std::this_thread::yield();
    std::this_thread::sleep_for(std::chrono::microseconds(idle < 2e-3  ? 100
                                                          : idle < 0.1 ? 1000
                                                          : idle < 1   ? 4000
                                                                       : 10000));
  }

  void note_error(std::string text) {
    errors_.push_back(clip_text(std::move(text)));
    if (errors_.size() > 10) errors_.pop_front();
  }

  void write_status(const std::string& state) {
    RunStatus s = status_of_life(life_, ++sequence_);
    s.state = state;
    s.cache_read = memory_.cache_read;
    s.cache_read_seconds = memory_.cache_read_seconds;
    s.cache_found = memory_.cache_found;
    s.peak_memory = memory_.peak_memory;
    s.peak_device = memory_.peak_device;
    s.exit_code = exit_code_.value_or(-1);
    s.reason = end_reason_;
    s.planned = planned_end_;
    s.committed_this_life = committed_;
    s.failures = failures_;
    s.device_seconds = device_seconds_;
    s.elapsed = steady_seconds() - start_;
    s.started = store_.started();
    s.last_commit = store_.last_commit();
    s.jobs_per_hour = rate_.per_hour(steady_seconds());
    for (const JobIndex job : quarantined_) {
      if (s.quarantined_jobs.size() < kMostLabels) s.quarantined_jobs.push_back(plan_.jobs[job.value].label);
    }
    if (state == "ended") s.journal_bytes = store_.journal_bytes();
    s.errors.assign(errors_.begin(), errors_.end());
    const auto beat_of = [&](WorkerId worker) -> const message::Beat& { return peers_.at(worker).beat; };
    add_schedule(s, scheduler_, plan_, beat_of, life_.scheduler.suspect_after);
    replace_file(run_.status(), Json(s).dump(1), false);
  }

  static constexpr std::size_t kAhead = 16;                                  // short jobs
  static constexpr double kTick = 0.05, kStatus = 0.5, kGroupCommit = 5e-3;  // s

  Channel& channel_;
  const RunLayout run_;
  const jobs::Plan& plan_;
  const Life life_;
  const ChaosSpec chaos_;
  std::uint64_t sequence_ = 0;
  const double start_;
  const bool starting_;
  RunStore store_;
  Scheduler scheduler_;
  std::map<WorkerId, Peer> peers_;
  std::map<WorkerId, message::Done> reported_;
  std::deque<PendingCommit> commits_;
  std::vector<std::pair<WorkerId, std::string>> outbox_;
  std::deque<std::string> errors_;
  std::vector<JobIndex> quarantined_;
  RecentRate rate_;
  RunStatus memory_;  // of which only what add_metrics() adds
  std::optional<int> exit_code_;
  std::string end_reason_;
  bool planned_end_ = true;
  bool stopping_ = false;
  std::uint64_t committed_ = 0, failures_ = 0;
  double device_seconds_ = 0;
  double last_tick_ = 0, last_status_ = 0, last_pulse_ = 0, idle_since_ = 0, synced_ = 0;
};

}  // namespace

HugeVector<JobNode> nodes_of(const jobs::Plan& plan) {
  std::unordered_map<Digest, std::uint32_t> index;
  HugeVector<JobNode> nodes;
  for (const jobs::JobSpec& job : plan.jobs) {
    JobNode node{job.cost,
                 {},
                 kind_index(job),
                 jobs::keeps_checkpoints(job.work),
                 static_cast<std::uint16_t>(jobs::gang_of(job.work))};
    for (const Digest& input : job.inputs) node.inputs.emplace_back(index.at(input));
    index[job.digest] = static_cast<std::uint32_t>(nodes.size());
    nodes.push_back(std::move(node));
  }
  return nodes;
}

int serve(Channel& channel, const RunLayout& run, const jobs::Plan& plan, const Life& life,
          const std::atomic<int>& stop) {
  return Coordinator(channel, run, plan, life).run(stop);
}

}  // namespace guda::orchestrator
