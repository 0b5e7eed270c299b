#include "cluster/agent/agent.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <deque>
#include <memory>
#include <optional>
#include <thread>

#include "common/clock.hpp"
#include "common/gang_memory.hpp"
#include "common/process.hpp"

namespace guda::cluster {
namespace {

constexpr std::uint32_t kCoordinator = 0;

class Agent {
 public:
  Agent(Channel& channel, const AgentConfig& config) : channel_(channel), config_(config), parent_(::getppid()) {}
  ~Agent() { leave_seat(); }
  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;

  bool run(const std::atomic<int>& terminate) {
    last_pulse_ = steady_seconds();
    channel_.send(kCoordinator, encode(message::Hello{config_.token, host_name(), config_.device,
                                                      static_cast<std::uint32_t>(::getpid())}));
    if (!config_.objection.empty()) return leave(config_.objection);
    while (true) {
      const double t = steady_seconds();
      if (::getppid() != parent_) return false;
      if (terminate) return leave("it was told to end");
      // Until it has spoken for the first time the coordinator may be replaying a long journal.
      if (t - last_pulse_ > config_.coordinator_lost_after * (heard_ ? 1 : kPatience)) return false;
      bool moved = false;
      while (const auto envelope = channel_.receive()) {
        moved = heard_ = true;
        last_pulse_ = t;
        if (!obey(decode(envelope->bytes), t)) return true;
      }
      if (barren_starts_ >= kMaxBarrenStarts) return leave(last_exit_);
      moved = tend_worker(t) || moved;
      if (t - last_beat_ >= config_.beat_every) beat(t);
      if (moved) moved_at_ = t;
      else wait(t - moved_at_);
    }
  }

 private:
  bool leave(const std::string& why) {
    channel_.send(kCoordinator, encode(message::Leaving{why}));
    for (const double until = steady_seconds() + kGoodbye; steady_seconds() < until;)
      static_cast<void>(channel_.receive());  // lets it go out
    return false;
  }

  /// False: dismissed.
  bool obey(const Message& message, double t) {
    if (const auto* assign = std::get_if<message::Assign>(&message)) {
      if (lease_) ahead_.push_back(*assign);
      else begin(*assign);
    } else if (const auto* cancel = std::get_if<message::Cancel>(&message)) {
      if (std::erase_if(ahead_, [&](const auto& assign) { return assign.lease == cancel->lease; }) > 0)
        channel_.send(kCoordinator, encode(message::Returned{cancel->lease}));
      if (!lease_ || *lease_ != cancel->lease) return true;
      if (!sent_down_ || !worker_) {
        hand_back();
      } else {
        static_cast<void>(worker_->send(*cancel));
        cancel_deadline_ = t + config_.cancel_grace;
      }
    } else if (std::holds_alternative<message::Restart>(message)) {
      ahead_.clear();  // the coordinator gives them to others
      end_lease();
      replace_worker();
    } else if (std::holds_alternative<message::Dismiss>(message)) {
      return false;
    }
    return true;
  }

  void begin(const message::Assign& assign) {
    lease_ = assign.lease;
    seat_ = assign.seat;
    next_ = assign.next;
    progress_ = {};
    sent_down_ = false;
  }

  void replace_worker() {
    worker_.reset();
    ready_ = false;
  }

  void start_worker(double t) {
    ready_ = false;
    // A worker that dies again and again before it did anything is started ever more slowly.
    start_after_ = t + backoff_;
    backoff_ = std::min(backoff_ * 2, 10.0);
    worker_ = std::make_unique<WorkerProcess>(config_.worker);
    alive_at_ = t;
    cpu_ticks_ = 0;
  }

  bool tend_worker(double t) {
    if (!worker_) {
      if (t < start_after_) return false;
      start_worker(t);
    }
    bool moved = false;
    while (const auto message = worker_->receive()) {
      moved = true;
      alive_at_ = t;
      hear(*message);
    }
    if (const auto exit = worker_->exit_text()) {
      while (const auto message = worker_->receive()) hear(*message);  // what it said last still counts
      bury(*exit);
      return true;
    }
    if (cancel_deadline_ > 0 && t > cancel_deadline_) {
      replace_worker();
      hand_back();
      return true;
    }
    if (frozen(t)) {
      const std::string text =
          fmt::format("worker frozen: it said nothing and used no CPU time for {:.0f} s", t - alive_at_);
      replace_worker();
      report(message::Failed{*lease_, ErrorClass::crash, text});
      return true;
    }
    if (ready_ && lease_ && !sent_down_) moved = send_down(t) || moved;
    if (injection_ && t >= inject_at_) perform(*injection_, t);
    return moved;
  }

  void bury(const std::string& exit) {
    last_exit_ = "its worker does not start: " + exit +
                 fmt::format(" ({} times in a row; see {})", kMaxBarrenStarts, config_.worker.log.string());
    barren_starts_ = ready_ ? 0 : barren_starts_ + 1;
    if (lease_) {
      const ErrorClass error = worker_->out_of_memory() ? ErrorClass::out_of_memory : ErrorClass::crash;
      const std::string why = worker_->out_of_memory() ? ": the machine or its control group ran out of memory" : "";
      // Blame the job only if it had reached the worker.
      report(sent_down_ ? Message(message::Failed{*lease_, error, "worker " + exit + why})
                        : Message(message::Returned{*lease_}));
    }
    replace_worker();
  }

  /// Looks at the CPU clock of a worker that has a job and is silent. Idle workers may be as still as they like.
  bool frozen(double t) {
    if (!lease_) alive_at_ = t;
    if (t - looked_at_ >= std::min(1.0, config_.beat_every)) {
      looked_at_ = t;
      const std::uint64_t ticks = worker_->cpu_ticks();
      if (ticks != cpu_ticks_) alive_at_ = t;
      cpu_ticks_ = ticks;
    }
    return lease_ && t - alive_at_ > config_.frozen_after;
  }

  bool send_down(double t) {
    injection_.reset();
    if (!config_.chaos.text.empty()) {
      injection_ = injection_for(config_.chaos, config_.labels.at(lease_->job), lease_->attempt, config_.device);
      if (injection_ && injection_->fault == Fault::report) {
        report(message::Failed{*lease_, injection_->error, "chaos: on purpose"});
        return true;
      }
      if (injection_) inject_at_ = t + injection_->after;
    }
    sent_down_ = worker_->send(message::Assign{*lease_, seat_, next_});
    return true;
  }

  void perform(const Injection& injection, double t) {
    switch (injection.fault) {
      case Fault::kill:
        worker_->signal(SIGKILL);
        break;
      case Fault::crash:
        worker_->signal(SIGSEGV);
        break;
      case Fault::stop:
        worker_->signal(SIGSTOP);
        break;
      case Fault::agent:
        ::kill(::getpid(), SIGKILL);
        break;
      case Fault::slow:
        if (!slowed_) {
          worker_->signal(SIGSTOP);
          slowed_ = true;
          inject_at_ = t + std::min(1.0, config_.frozen_after / 3);
          return;
        }
        break;
      case Fault::disk:  // the worker's part
      case Fault::report:
        break;
    }
    end_injection();
  }

  void end_injection() {
    if (slowed_ && worker_) worker_->signal(SIGCONT);
    slowed_ = false;
    injection_.reset();
  }

  void hear(const Message& message) {
    if (std::holds_alternative<message::Ready>(message)) {
      ready_ = true;
    } else if (const auto* beat = std::get_if<message::Beat>(&message)) {
      progress_ = *beat;
    } else if (const auto* done = std::get_if<message::Done>(&message)) {
      if (lease_ && done->lease == *lease_) {
        backoff_ = kFirstBackoff;
        report(message);
      }
    } else if (const auto* failed = std::get_if<message::Failed>(&message)) {
      if (lease_ && failed->lease == *lease_) report(message);
    } else if (const auto* returned = std::get_if<message::Returned>(&message)) {
      if (lease_ && returned->lease == *lease_) report(message);
    }
  }

  void report(const Message& message) {
    channel_.send(kCoordinator, encode(message));
    end_lease();
  }

  void end_lease() {
    lease_.reset();
    leave_seat();
    sent_down_ = false;
    cancel_deadline_ = 0;
    end_injection();
    if (ahead_.empty()) return;
    begin(ahead_.front());
    ahead_.pop_front();
  }

  /// What a worker that was killed while its gang was meeting has left behind.
  void leave_seat() {
    if (seat_) remove_gang_memory(seat_->memory);
    seat_.reset();
  }

  void hand_back() { report(message::Returned{*lease_}); }

  void beat(double t) {
    last_beat_ = t;
    message::Beat beat;
    if (lease_) {
      beat = progress_;
      beat.busy = true;
      beat.lease = *lease_;
      beat.quiet = worker_ ? t - alive_at_ : 0;
    }
    channel_.send(kCoordinator, encode(beat));
  }

  /// The worker's socket wakes us at once. MPI has no descriptor to wait on: it is looked at often while an answer may
  /// be on its way, then every few milliseconds, and seldom while the worker computes, whose core this is.
  void wait(double idle) {
    if (idle < kSpin && !lease_) {
      std::this_thread::yield();
      return;
    }
    const long nap = lease_ ? kBusyNap : idle < 2e-3 ? 100'000 : idle < 0.1 ? 1'000'000 : kSleepMs * 1'000'000L;
    pollfd entry{worker_ ? worker_->fd() : -1, POLLIN, 0};
    const timespec limit{0, nap};
    ::ppoll(&entry, 1, &limit, nullptr);
    if (entry.revents & (POLLHUP | POLLERR)) std::this_thread::sleep_for(std::chrono::milliseconds(kSleepMs));
  }

  static constexpr double kFirstBackoff = 0.2, kPatience = 10, kGoodbye = 0.1, kSpin = 200e-6;
  static constexpr int kSleepMs = 4, kMaxBarrenStarts = 5;
  static constexpr long kBusyNap = 20'000'000;  // ns

  Channel& channel_;
  const AgentConfig& config_;
  const pid_t parent_;
  std::unique_ptr<WorkerProcess> worker_;
  bool heard_ = false, ready_ = false, sent_down_ = false, slowed_ = false;
  std::optional<Lease> lease_;
  std::optional<GangSeat> seat_;
  std::optional<std::uint32_t> next_;  // job, a hint for the worker
  std::deque<message::Assign> ahead_;  // behind it
  std::optional<Injection> injection_;
  message::Beat progress_;
  double moved_at_ = 0, last_pulse_ = 0, last_beat_ = 0, cancel_deadline_ = 0, inject_at_ = 0;
  double start_after_ = 0, backoff_ = kFirstBackoff;
  double alive_at_ = 0, looked_at_ = 0;  // of the worker: last sign of life, last look at its CPU clock
  std::uint64_t cpu_ticks_ = 0;
  int barren_starts_ = 0;
  std::string last_exit_;
};

}  // namespace

std::string isa_objection(const std::string& planned, const std::string& isa) {
  if (planned.empty() || planned == isa) return "";
  return "its processor has " + isa + ", the plan is for " + planned +
         ", and their results differ in the last bits. Cure: nodes of that kind only (guda submit --constraint)";
}

bool run_agent(Channel& channel, const AgentConfig& config, const std::atomic<int>& terminate) {
  return Agent(channel, config).run(terminate);
}

}  // namespace guda::cluster
