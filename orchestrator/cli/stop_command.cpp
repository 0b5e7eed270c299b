#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <iostream>
#include <thread>

#include "common/process.hpp"
#include "orchestrator/cli/command_line.hpp"
#include "orchestrator/cli/commands.hpp"
#include "orchestrator/control.hpp"
#include "orchestrator/prepare_run.hpp"
#include "orchestrator/run_lock.hpp"

namespace guda::cli {
namespace po = boost::program_options;
using namespace guda::orchestrator;

namespace {

/// Signals guda run after checking that it is the very process that took the lock. False: it is gone.
bool signal_owner(const LockInfo& owner, int number) {
  if (process_start_time(owner.pid) != owner.pid_start) return false;
  const int user = process_user(owner.pid);
  if (user < 0) return false;
  if (::geteuid() != 0 && static_cast<uid_t>(user) != ::geteuid()) {
    throw Error("the run belongs to " + describe(owner) + ". Cure: ask that person, or root, to stop it.");
  }
  return ::kill(owner.pid, number) == 0;
}

/// Whether the owner of `epoch` or later has left within `seconds`.
bool wait_for_end(const RunLayout& run, double seconds) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  while (true) {
    const auto owner = read_lock(run.lock());
    if (!owner || !owner_alive(*owner)) return true;
    if (std::chrono::steady_clock::now() >= until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
}

}  // namespace

int stop_command(const Arguments& arguments) {
  po::options_description options("options");
  options.add_options()("drain", "let running jobs end, start no new ones")(
      "now", "at once: what runs is lost and done again later")(
      "wait", po::value<double>()->default_value(60), "seconds to wait for the end; 0: don't")("json", "print as JSON");
  const auto values = parse(
      {"guda stop RUN [--drain|--now] [--wait S] [--json]",
       "Stops a run so that the same guda run command resumes it. Without an option running jobs checkpoint and are\n"
       "handed back. On this machine the owner is signalled, on another one it is asked through RUN/control.\n"
       "Exit: 0 stopped (or not at work), 75 asked but still at work when the wait was over, 2 not allowed.",
       "  guda stop runs/digits\n  guda stop runs/digits --drain --wait 600\n  guda stop /shared/sweep --now\n"},
      options, {"run"}, arguments);
  if (!values) return kDone;
  const bool drain = values->contains("drain"), now = values->contains("now"), json = values->contains("json");
  if (drain && now) throw UsageError("--drain and --now exclude each other");
  const RunLayout run{(*values)["run"].as<std::string>()};
  static_cast<void>(load_plan(run));
  const auto owner = read_lock(run.lock());
  const bool at_work = owner && owner_alive(*owner);
  bool stopped = !at_work;
  std::string how;
  if (at_work) {
    using Kind = ControlRequest::Kind;
    const bool local = is_local(*owner);
    if (drain || now || !local) {
      post_control(run, {.kind = drain ? Kind::drain
                                 : now ? Kind::stop_now
                                       : Kind::stop,
                         .epoch = owner->epoch,
                         .jobs = {},
                         .unfence = {},
                         .by = who_am_i()});
      how = "asked through " + run.control().string();
    }
    if (local && !drain) {
      signal_owner(*owner, SIGTERM);
      // The first signal asks, the second one means it: the supervisor must have seen the first one by then.
      if (now) {
        std::this_thread::sleep_for(std::chrono::milliseconds(500));
        signal_owner(*owner, SIGTERM);
      }
      how = fmt::format("signalled pid {}", owner->pid);
    }
    if (!json) std::cout << fmt::format("{}: {}; {}\n", run.folder.string(), describe(*owner), how) << std::flush;
    stopped = wait_for_end(run, (*values)["wait"].as<double>());
  }
  if (json) {
    std::cout << Json{{"schema", 1},
                      {"was_at_work", at_work},
                      {"stopped", stopped},
                      {"how", how},
                      {"owner", owner ? Json(describe(*owner)) : Json()}}
                     .dump(2)
              << "\n";
  } else if (!at_work) {
    std::cout << run.folder.string() << " is not at work\n";
  } else {
    std::cout << (stopped ? "stopped; the same guda run command resumes it\n"
                          : "still at work: guda status shows it\n");
  }
  return stopped ? kDone : kStoppedEarly;
}

}  // namespace guda::cli
