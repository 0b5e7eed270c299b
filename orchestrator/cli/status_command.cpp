#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <iostream>
#include <thread>

#include "orchestrator/cli/command_line.hpp"
#include "orchestrator/cli/commands.hpp"
#include "orchestrator/prepare_run.hpp"
#include "orchestrator/progress.hpp"
#include "orchestrator/run_lock.hpp"

namespace guda::cli {
namespace po = boost::program_options;
using namespace guda::orchestrator;

namespace {

struct View {
  RunStatus status;
  bool has_status = false, alive = false;
  std::optional<LockInfo> owner;
};

View look(const RunLayout& run) {
  View v;
  if (const auto status = read_status(run.status())) {
    v.status = *status;
    v.has_status = true;
  }
  v.owner = read_lock(run.lock());
  v.alive = v.owner && owner_alive(*v.owner);
  return v;
}

std::string headline(const View& v) {
  if (v.alive) return "at work: " + describe(*v.owner);
  if (!v.has_status) return "planned, not started yet. Start it: guda run";
  if (v.status.state == "ended" && v.status.exit_code == 0) return "complete";
  if (v.status.state == "ended" && v.status.exit_code == 10) return "complete, with quarantined jobs";
  return "stopped before its end. Resume it: the same guda run command";
}

void print(const View& v, const RunLayout& run) {
  std::cout << run.folder.string() << ": " << headline(v) << "\n";
  if (!v.has_status) return;
  RunStatus shown = v.status;
  if (!v.alive) {
    shown.workers.clear();
    shown.running = 0;
    shown.eta_p50 = -1;
    if (shown.state != "ended") shown.state = "ended";
  }
  std::cout << render_progress(shown, terminal_columns(), ::isatty(STDOUT_FILENO) == 1);
  std::cout << fmt::format("  life {}, {} device-time in all, {} failed attempts in this life\n", shown.epoch,
                           duration_text(shown.device_seconds), shown.failures);
  for (const WorkerView& w : shown.workers) {
    if (w.state == "suspect" || w.state == "lost") {
      std::cout << fmt::format("  {} is {}: silent for {}{}\n", w.device, w.state, duration_text(w.silent_for),
                               w.job.empty() ? "" : ", had " + w.job);
    }
  }
  for (const std::string& e : shown.errors) std::cout << "  last error: " << e << "\n";
}

}  // namespace

int status_command(const Arguments& arguments) {
  po::options_description options("options");
  options.add_options()("watch", "show it again every second until the run ends")("json", "print as JSON");
  const auto values = parse({"guda status RUN [options]", "What a run is doing: live, dead or on another machine. Reads only.",
                             "  guda status runs/digits\n  guda status runs/digits --json | jq .jobs\n"},
                            options, {"run"}, arguments);
  if (!values) return kDone;
  const RunLayout run{(*values)["run"].as<std::string>()};
  if (!std::filesystem::exists(run.plan())) {
    throw Error(run.folder.string() + " is no run directory (no plan.json). Cure: name the directory that guda run made, e.g. runs/digits.");
  }
  while (true) {
    const View v = look(run);
    if (values->contains("json")) {
      Json out = v.has_status ? Json(v.status) : Json::object();
      out["alive"] = v.alive;
      out["headline"] = headline(v);
      std::cout << out.dump(2) << "\n";
    } else {
      if (values->contains("watch") && ::isatty(STDOUT_FILENO) == 1) std::cout << "\033[H\033[J";
      print(v, run);
    }
    std::cout.flush();
    if (!values->contains("watch") || !v.alive) return kDone;
    std::this_thread::sleep_for(std::chrono::seconds(1));
  }
}

}  // namespace guda::cli
