#include <unistd.h>

#include <chrono>
#include <iostream>
#include <thread>

#include "orchestrator/cli/command_line.hpp"
#include "orchestrator/cli/commands.hpp"
#include "orchestrator/run_view.hpp"

namespace guda::cli {
namespace po = boost::program_options;
using namespace guda::orchestrator;

int status_command(const Arguments& arguments) {
  po::options_description options("options");
  options.add_options()("watch", "show it again every second until the run ends")(
      "json", "print as JSON; with --watch one line a second");
  const auto values = parse(
      {"guda status RUN [--watch] [--json]",
       "What a run is doing: live, dead or on another machine. Reads only.\n"
       "Exit: 0 (also for a dead run), 2 when RUN is no run directory.",
       "  guda status runs/digits\n  guda status runs/digits --watch\n  guda status runs/digits --json | jq .jobs\n"},
      options, {"run"}, arguments);
  if (!values) return kDone;
  const RunLayout run{(*values)["run"].as<std::string>()};
  const bool watch = values->contains("watch"), json = values->contains("json"),
             terminal = ::isatty(STDOUT_FILENO) == 1;
  while (true) {
    const RunView view = view_run(run);
    if (json) {
      std::cout << Json(view).dump(watch ? -1 : 2) << "\n";
    } else {
      if (watch && terminal) std::cout << "\033[H\033[J";
      std::cout << render_view(view, run, terminal_columns(), terminal);
    }
    std::cout.flush();
    if (!watch || !view.alive) return kDone;
    std::this_thread::sleep_for(std::chrono::seconds(1));
  }
}

}  // namespace guda::cli
