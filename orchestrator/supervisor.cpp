#include "orchestrator/supervisor.hpp"

#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <random>
#include <thread>
#include <vector>

#include "common/clock.hpp"
#include "common/gang_memory.hpp"
#include "common/process.hpp"
#include "orchestrator/journal.hpp"
#include "orchestrator/run_status.hpp"
#include "orchestrator/run_view.hpp"
#include "orchestrator/start_watch.hpp"

namespace guda::orchestrator {
namespace {

std::string new_token() {
  std::random_device device;
  return fmt::format("{:08x}{:08x}", device(), device());
}

/// INT, TERM, USR2 and HUP; not HUP where it is ignored: nohup means it.
std::vector<int> stop_signals() {
  std::vector<int> signals{SIGINT, SIGTERM, SIGUSR2};
  struct sigaction hup{};
  ::sigaction(SIGHUP, nullptr, &hup);
  if (hup.sa_handler != SIG_IGN) signals.push_back(SIGHUP);
  return signals;
}

/// Signals that a supervisor acts on, taken synchronously.
class Signals {
 public:
  Signals() {
    sigemptyset(&set_);
    for (const int s : stop_signals()) sigaddset(&set_, s);
    ::sigprocmask(SIG_BLOCK, &set_, &before_);
  }
  ~Signals() { ::sigprocmask(SIG_SETMASK, &before_, nullptr); }
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;
  /// A pending signal, or 0 after `seconds` without one.
  [[nodiscard]] int wait(double seconds) const {
    timespec timeout{static_cast<time_t>(seconds),
                     static_cast<long>((seconds - double(static_cast<time_t>(seconds))) * 1e9)};
    const int s = ::sigtimedwait(&set_, nullptr, &timeout);
    return s > 0 ? s : 0;
  }

 private:
  sigset_t set_{}, before_{};
};

/// Ends everything below us: ranks whose mpirun died were handed to us as subreaper.
void kill_descendants() {
  for (int round = 0; round < 50; ++round) {
    const auto below = descendants(::getpid());
    for (const pid_t pid : below) ::kill(pid, SIGKILL);
    while (::waitpid(-1, nullptr, WNOHANG) > 0) {
    }
    if (below.empty()) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

/// The coordinator of an earlier life that outlived its supervisor by a moment must not write into the run any more.
void end_former_coordinator(const RunLayout& run) {
  const auto status = read_status(run.status());
  if (!status || status->pid <= 1 || status->host != host_name() || status->pid_start == 0) return;
  for (int i = 0; i < 250 && process_start_time(status->pid) == status->pid_start; ++i) {
    ::kill(status->pid, SIGKILL);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

enum class LifeEnd { died, interrupted };

class Supervisor {
 public:
  Supervisor(const RunLayout& run, RunLock& lock, const SupervisorConfig& config, Progress& progress)
      : run_(run), lock_(lock), config_(config), progress_(progress) {}

  int run() {
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);
    end_former_coordinator(run_);
    std::uint32_t barren = 0;
    while (true) {
      const double start = steady_seconds();
      const LifeEnd end = live();
      const auto status = status_of_this_life();
      const bool ended = status && status->state == "ended";
      if (ended && (status->planned || stop_signals_ > 0)) {
        progress_.finish(*status);
        return config_.more_follows && stop_signals_ > 0 ? 75 : status->exit_code;
      }
      if (end == LifeEnd::interrupted || (config_.stop_at > 0 && unix_seconds() >= config_.stop_at)) return 75;
      // A long life without a commit is no barren one: its long jobs have left checkpoints.
      const bool fruitful = has_committed() || steady_seconds() - start > config_.fruitful_after;
      barren = fruitful ? 0 : barren + 1;
      for (const std::string& words : last_words(run_, epoch_)) progress_.note(words);
      if (barren >= config_.barren_lives) {
        progress_.note(
            fmt::format("{} lives without progress: stopping. The reasons are in {}.", barren, run_.logs().string()));
        return 75;
      }
      progress_.note(
          fmt::format("life {} ended early: {}; starting another", epoch_, ended ? status->reason : end_reason_));
      if (barren > 0 && pause(std::min(10.0, barren * 1.0))) return 75;
    }
  }

 private:
  /// By the journal: a coordinator that was killed right after a commit had no time to say so in status.json.
  [[nodiscard]] bool has_committed() const {
    const JournalContent journal = read_journal(run_.journal(), MissingLives::report);
    return std::any_of(journal.records.begin(), journal.records.end(),
                       [&](const JournalRecord& r) { return r.type == RecordType::commit && r.epoch == epoch_; });
  }

  [[nodiscard]] std::optional<RunStatus> status_of_this_life() const {
    auto status = read_status(run_.status());
    if (status && status->token == token_) return status;
    return std::nullopt;
  }

  bool pause(double seconds) {
    const double until = steady_seconds() + seconds;
    while (steady_seconds() < until) {
      if (signals_.wait(0.2) != 0) return true;
    }
    return false;
  }

  LifeEnd live() {
    Life life = config_.life;
    life.epoch = read_journal(run_.journal()).last_epoch + 1;
    life.token = token_ = new_token();
    life.threads = config_.launch.threads;
    epoch_ = life.epoch;
    lock_.set_epoch(epoch_);
    Json life_json = to_json(life);
    life_json["launch"] = cluster::to_json(config_.launch);
    // A full or read-only disk would end life after life, unheard: their logs lie on it.
    probe_writable(run_.journal(), kProbeBytes);
    replace_file(run_.life(), life_json.dump(1));
    const std::filesystem::path log = run_.logs() / fmt::format("life-{:04}.log", epoch_);

    SpawnOptions options;
    options.arguments = cluster::mpirun_command(config_.launch, executable_folder(), run_.folder, run_.life());
    options.environment = {{"OMPI_ALLOW_RUN_AS_ROOT", "1"}, {"OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"}};
    options.output = log;
    options.new_group = true;  // ^C reaches us alone; we translate
    const pid_t mpirun = spawn(options);
    const LifeEnd end = watch(mpirun);
    kill_descendants();
    remove_gang_memory_of(run_.folder, 0);  // of killed members whose agents were killed as well
    return end;
  }

  LifeEnd watch(pid_t mpirun) {
    const double lost_after = config_.life.scheduler.lost_after;
    std::uint64_t sequence = 0;
    double moved_at = steady_seconds(), renewed_at = 0, kill_at = 0, stopped_at = 0, asked_at = 0;
    StartWatch start;
    bool heeded = false;  // a stop signal: mpirun forwards it only to ranks that it has started by then
    end_reason_ = "mpirun ended";
    while (true) {
      int wait_status = 0;
      pid_t child = 0;
      while ((child = ::waitpid(-1, &wait_status, WNOHANG | WUNTRACED | WCONTINUED)) > 0) {
        if (child != mpirun) continue;
        if (WIFSTOPPED(wait_status)) stopped_at = steady_seconds();
        else if (WIFCONTINUED(wait_status)) stopped_at = 0;
        else return stop_signals_ > 0 ? LifeEnd::interrupted : LifeEnd::died;
      }
      int s = signals_.wait(kLook);
      const bool due = s == 0 && stop_signals_ == 0 && config_.stop_at > 0 && unix_seconds() >= config_.stop_at;
      if (due) s = SIGUSR2;
      if (s != 0) {
        ++stop_signals_;
        if (stop_signals_ == 1) {
          progress_.note((due ? config_.stop_reason + ": " : std::string("stopping: ")) +
                         "running jobs are handed back (again to stop at once)");
          kill_at = steady_seconds() + config_.grace;
        } else if (s != SIGUSR2) {
          return LifeEnd::interrupted;
        }
      }
      const double t = steady_seconds();
      if (stop_signals_ > 0 && !heeded && t - asked_at > kAskAgain) {
        asked_at = t;
        ::kill(mpirun, SIGUSR2);  // forwarded to every rank; TERM would leave them about a second
        ::kill(mpirun, SIGCONT);  // a stopped one forwards nothing
      }
      if (kill_at > 0 && t > kill_at) return stop_signals_ > 0 ? LifeEnd::interrupted : LifeEnd::died;
      if (stopped_at > 0 && t - stopped_at > config_.life.scheduler.suspect_after) {
        progress_.note("mpirun was stopped: waking it");
        ::kill(mpirun, SIGCONT);
        stopped_at = 0;
      }
      if (t - renewed_at > kRenew) {
        renewed_at = t;
        if (!lock_.renew()) {
          progress_.note("another owner has taken over this run directory: leaving");
          stop_signals_ = 1;
          return LifeEnd::interrupted;
        }
      }
      const auto before = status_of_this_life();
      const bool gone = before && coordinator_gone(*before);
      const auto status = gone ? status_of_this_life() : before;  // its last words come before its end
      if (status && status->sequence != sequence) {
        sequence = status->sequence;
        heeded = status->state == "stopping" || status->state == "ended";
        if (status->state != "starting") {
          moved_at = t;
          progress_.show(*status);
        }
        // The end is written: ranks get a moment to leave, frozen ones are not waited for.
        if (status->state == "ended" && (kill_at == 0 || kill_at > t + kEndGrace))
          kill_at = t + std::clamp(lost_after, 2.0, kEndGrace);
      }
      if (gone && status->state != "ended") {
        end_reason_ = "the coordinator died";
        return LifeEnd::died;
      }
      if (!status) start.look(::getpid());
      if (!status && !start.death().empty() && !status_of_this_life()) {
        end_reason_ = start.death();
        return LifeEnd::died;
      }
      // While it replays a long journal it does not tell how far it is: it gets longer, unless it is seen to be
      // stopped.
      const bool starting = !status || status->state == "starting";
      const bool stopped = status ? status->host == host_name() && process_state(status->pid) == 'T' : start.stopped();
      if (t - moved_at > lost_after * (starting && !stopped ? kPatience : 1)) {
        end_reason_ = start.stopped() ? "a rank stands still" : "the coordinator does not move any more";
        return LifeEnd::died;
      }
    }
  }

  /// Seen at once on this machine; elsewhere its silence tells.
  [[nodiscard]] static bool coordinator_gone(const RunStatus& status) {
    return status.host == host_name() && process_start_time(status.pid) != status.pid_start;
  }

  static constexpr std::size_t kProbeBytes = 1 << 20;
  static constexpr double kEndGrace = 8, kLook = 0.2, kAskAgain = 1, kRenew = 5, kPatience = 10;

  const RunLayout& run_;
  RunLock& lock_;
  const SupervisorConfig& config_;
  Progress& progress_;
  Signals signals_;
  std::uint32_t epoch_ = 0;
  std::string token_, end_reason_;
  int stop_signals_ = 0;
};

}  // namespace

void exit_on_stop_signals() {
  for (const int s : stop_signals()) ::signal(s, [](int) { ::_exit(75); });
}

int supervise(const RunLayout& run, RunLock& lock, const SupervisorConfig& config, Progress& progress) {
  return Supervisor(run, lock, config, progress).run();
}

}  // namespace guda::orchestrator
