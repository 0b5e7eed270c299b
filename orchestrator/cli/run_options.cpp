#include "orchestrator/cli/run_options.hpp"

#include <cstdio>

#include "orchestrator/cli/command_line.hpp"

namespace guda::cli {
namespace po = boost::program_options;

void add_supervision_options(po::options_description& options) {
  options.add_options()("workers", po::value<std::uint32_t>(), "worker processes [the experiment's, else as many as the machine or allocation has room for]")(
      "hostfile", po::value<std::string>(), "run on these hosts: lines 'name slots=CORES gpus=N', this machine first")(
      "bind", po::value<std::string>()->default_value("auto"), "auto: workers keep to cores of their own where nobody else runs on them; none")(
      "mpi-args", po::value<std::string>()->default_value(""), "more arguments for mpirun, separated by blanks")(
      "grace", po::value<double>()->default_value(30), "seconds that running jobs get to hand themselves back on a stop signal")(
      "heartbeat", po::value<std::string>()->default_value("5/30/120"),
      "seconds: heartbeat period / suspected after / lost after");
}

cluster::LaunchPlan launch_from(const po::variables_map& values, const jobs::Plan& plan) {
  cluster::LaunchRequest request;
  request.workers = values.contains("workers") ? values["workers"].as<std::uint32_t>() : plan.experiment.resources.workers;
  request.threads = plan.numerics.threads;
  request.device = plan.numerics.device;
  const auto& bind = values["bind"].as<std::string>();
  if (bind != "auto" && bind != "none") throw UsageError("--bind is auto or none, not '" + bind + "'");
  request.bind = bind == "auto";
  request.mpi_arguments = values["mpi-args"].as<std::string>();
  return cluster::plan_launch(cluster::discover(values.contains("hostfile") ? values["hostfile"].as<std::string>() : ""), request);
}

orchestrator::SupervisorConfig supervision_from(const po::variables_map& values, const jobs::Plan& plan) {
  orchestrator::SupervisorConfig config;
  config.launch = launch_from(values, plan);
  config.grace = values["grace"].as<double>();
  double beat = 0, suspect = 0, lost = 0;
  char rest = 0;
  const auto& text = values["heartbeat"].as<std::string>();
  if (std::sscanf(text.c_str(), "%lf/%lf/%lf%c", &beat, &suspect, &lost, &rest) != 3 || beat <= 0 || suspect <= beat || lost <= suspect) {
    throw UsageError("--heartbeat needs three growing numbers of seconds, e.g. 5/30/120, not '" + text + "'");
  }
  config.life.beat_every = beat;
  config.life.scheduler.suspect_after = suspect;
  config.life.scheduler.lost_after = lost;
  config.life.scheduler.no_progress_after = std::max(5 * lost, 60.0);
  return config;
}

}  // namespace guda::cli
