#include "cluster/agent/agent.hpp"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <thread>

#include "common/process.hpp"

namespace guda::cluster {
namespace {

constexpr std::uint32_t kCoordinator = 0;

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

class Agent {
 public:
  Agent(Channel& channel, const AgentConfig& config) : channel_(channel), config_(config), parent_(::getppid()) {}

  bool run(const volatile std::sig_atomic_t& terminate) {
    last_pulse_ = now();
    channel_.send(kCoordinator,
                  encode(message::Hello{config_.token, host_name(), config_.device, static_cast<std::uint32_t>(::getpid())}));
    while (true) {
      const double t = now();
      if (terminate || ::getppid() != parent_) return false;
      if (t - last_pulse_ > config_.coordinator_lost_after) return false;
      bool moved = false;
      while (const auto envelope = channel_.receive()) {
        moved = true;
        last_pulse_ = t;
        if (!obey(decode(envelope->bytes), t)) return true;
      }
      moved = tend_worker(t) || moved;
      if (t - last_beat_ >= config_.beat_every) beat(t);
      if (!moved) wait();
    }
  }

 private:
  /// False: dismissed.
  bool obey(const Message& message, double t) {
    if (const auto* assign = std::get_if<message::Assign>(&message)) {
      lease_ = assign->lease;
      progress_ = {};
      sent_down_ = false;
    } else if (const auto* cancel = std::get_if<message::Cancel>(&message)) {
      if (!lease_ || *lease_ != cancel->lease) return true;
      if (!sent_down_ || !worker_) {
        hand_back();
      } else {
        static_cast<void>(worker_->send(*cancel));
        cancel_deadline_ = t + config_.cancel_grace;
      }
    } else if (std::holds_alternative<message::Restart>(message)) {
      lease_.reset();
      worker_.reset();
      ready_ = false;
    } else if (std::holds_alternative<message::Dismiss>(message)) {
      return false;
    }
    return true;
  }

  bool tend_worker(double t) {
    if (!worker_) {
      if (t < start_after_) return false;
      ready_ = false;
      // A worker that dies again and again before it did anything is started ever more slowly.
      start_after_ = t + backoff_;
      backoff_ = std::min(backoff_ * 2, 10.0);
      worker_ = std::make_unique<WorkerProcess>(config_.worker);
    }
    bool moved = false;
    while (const auto message = worker_->receive()) {
      moved = true;
      hear(*message);
    }
    if (const auto exit = worker_->exit_text()) {
      while (const auto message = worker_->receive()) hear(*message);  // what it said last still counts
      if (lease_) {
        // Blame the job only if it had reached the worker.
        report(sent_down_ ? Message(message::Failed{*lease_, ErrorClass::crash, "worker " + *exit})
                          : Message(message::Returned{*lease_}));
      }
      worker_.reset();
      return true;
    }
    if (cancel_deadline_ > 0 && t > cancel_deadline_) {
      worker_.reset();
      hand_back();
      return true;
    }
    if (ready_ && lease_ && !sent_down_) {
      sent_down_ = worker_->send(message::Assign{*lease_});
      moved = true;
    }
    return moved;
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
    lease_.reset();
    sent_down_ = false;
    cancel_deadline_ = 0;
  }

  void hand_back() { report(message::Returned{*lease_}); }

  void beat(double t) {
    last_beat_ = t;
    message::Beat beat;
    if (lease_) {
      beat = progress_;
      beat.busy = true;
      beat.lease = *lease_;
    }
    channel_.send(kCoordinator, encode(beat));
  }

  void wait() {
    // The worker's socket wakes us at once; MPI has no descriptor to wait on, so it is looked at every few milliseconds.
    pollfd entry{worker_ ? worker_->fd() : -1, POLLIN, 0};
    ::poll(&entry, 1, kSleepMs);
    if (entry.revents & (POLLHUP | POLLERR)) std::this_thread::sleep_for(std::chrono::milliseconds(kSleepMs));
  }

  static constexpr double kFirstBackoff = 0.2;
  static constexpr int kSleepMs = 4;

  Channel& channel_;
  const AgentConfig& config_;
  const pid_t parent_;
  std::unique_ptr<WorkerProcess> worker_;
  bool ready_ = false, sent_down_ = false;
  std::optional<Lease> lease_;
  message::Beat progress_;
  double last_pulse_ = 0, last_beat_ = 0, cancel_deadline_ = 0;
  double start_after_ = 0, backoff_ = kFirstBackoff;
};

}  // namespace

bool run_agent(Channel& channel, const AgentConfig& config, const volatile std::sig_atomic_t& terminate) {
  return Agent(channel, config).run(terminate);
}

}  // namespace guda::cluster
