#include <fmt/format.h>
#include <fmt/ranges.h>

#include <iostream>

#include "cluster/slurm_client.hpp"
#include "cluster/topology.hpp"
#include "orchestrator/batch_lives.hpp"
#include "orchestrator/cli/command_line.hpp"
#include "orchestrator/cli/commands.hpp"
#include "orchestrator/fenced_nodes.hpp"
#include "orchestrator/prepare_run.hpp"

namespace guda::cli {
namespace po = boost::program_options;
using namespace guda::orchestrator;

int requeue_command(const Arguments& arguments) {
  po::options_description options("options");
  options.add_options()("max-lives", po::value<std::uint32_t>()->default_value(50),
                        "give up after so many lives that ended early")(
      "barren-lives", po::value<std::uint32_t>()->default_value(3),
      "give up after so many in a row without a finished job or a checkpoint");
  const auto values = parse({"guda requeue RUN [options]",
                             "Called by a run's job.sbatch when guda run stopped early (exit code 75): puts this Slurm "
                             "job back into the queue if its\n"
                             "life made progress, without the nodes that were fenced. Exit code 0 when it is requeued, "
                             "else 75 with the reason.",
                             "  guda requeue runs/digits\n"},
                            options, {"run"}, arguments);
  if (!values) return kDone;
  const RunLayout run{(*values)["run"].as<std::string>()};
  static_cast<void>(load_plan(run));
  const auto job = cluster::process_environment()("SLURM_JOB_ID");
  if (!job)
    throw UsageError("this is no Slurm job (SLURM_JOB_ID is not set). Cure: guda run " + run.folder.string() +
                     " goes on here.");
  BatchLives lives = read_batch(batch_file(run));
  lives.job = *job;
  const LifeVerdict verdict =
      after_life(lives, achieved(run),
                 {(*values)["max-lives"].as<std::uint32_t>(), (*values)["barren-lives"].as<std::uint32_t>()});
  write_batch(batch_file(run), lives);
  if (!verdict.requeue) {
    std::cout << "==> not requeued: " << verdict.why << ". The reasons are in guda status " << run.folder.string()
              << "; it goes on with: sbatch " << (run.folder / "job.sbatch").string() << std::endl;
    return kStoppedEarly;
  }
  if (const auto nodes = fenced_nodes(run); !nodes.empty()) {
    try {
      cluster::exclude_nodes(*job, nodes);
      std::cout << "==> fenced nodes are excluded from the next life: " << fmt::format("{}", fmt::join(nodes, ","))
                << std::endl;
    } catch (const Error& e) {
      std::cout << "==> " << e.what() << std::endl;
    }
  }
  // scontrol ends this very job: everything must be said before.
  std::cout << "==> requeueing: " << verdict.why << std::endl;
  try {
    cluster::requeue(*job);
  } catch (const Error& e) {
    std::cout << "==> " << e.what() << std::endl;
    return kStoppedEarly;
  }
  return kDone;
}

}  // namespace guda::cli
