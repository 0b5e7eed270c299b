#include "orchestrator/cli/run_options.hpp"

#include <fmt/format.h>

#include <cstdio>

#include "cluster/walltime.hpp"
#include "common/chaos.hpp"
#include "common/clock.hpp"
#include "common/error.hpp"
#include "orchestrator/cli/command_line.hpp"
#include "orchestrator/cli/estimate_options.hpp"

namespace guda::cli {
namespace po = boost::program_options;

void add_supervision_options(po::options_description& options) {
  options.add_options()("workers", po::value<std::uint32_t>(),
                        "worker processes [the experiment's, else as many as the machine or allocation has room for]")(
      "hostfile", po::value<std::string>(), "run on these hosts: lines 'name slots=CORES gpus=N', this machine first")(
      "bind", po::value<std::string>()->default_value("auto"),
      "auto: workers keep to cores of their own where nobody else runs on them; none")(
      "mpi-args", po::value<std::string>()->default_value(""), "more arguments for mpirun, separated by blanks")(
      "grace", po::value<double>()->default_value(30),
      "seconds that running jobs get to hand themselves back on a stop signal")(
      "heartbeat", po::value<std::string>()->default_value("5/30/120"),
      "seconds: heartbeat period / suspected after / lost after")(
      "checkpoint-every", po::value<double>(),
      "seconds between checkpoints inside a long job [by cost and write time]")(
      "chaos", po::value<std::string>()->default_value(""),
      "break things on purpose, e.g. seed=7,kill=0.02,stop=0.01,torn=0.01 (docs/reliability.md)");
}

void add_deadline_options(po::options_description& options) {
  options.add_options()(
      "deadline", po::value<std::string>()->default_value("auto"),
      "when the machines are taken away: 12h, 90m, 2026-11-25T06:00; auto: the end of the Slurm job we are in; none")(
      "simulate-preempt-after", po::value<double>(),
      "rehearsal: act after so many seconds as if the machines were being taken away");
}

cluster::LaunchPlan launch_from(const po::variables_map& values, const jobs::Plan& plan) {
  cluster::LaunchRequest request;
  request.workers =
      values.contains("workers") ? values["workers"].as<std::uint32_t>() : plan.experiment.resources.workers;
  request.threads = plan.numerics.threads;
  request.device = plan.numerics.device;
  request.per_device = plan.experiment.resources.workers_per_device;
  const auto& bind = values["bind"].as<std::string>();
  if (bind != "auto" && bind != "none") throw UsageError("--bind is auto or none, not '" + bind + "'");
  request.bind = bind == "auto";
  request.mpi_arguments = values["mpi-args"].as<std::string>();
  return with_room_for_gangs(
      cluster::plan_launch(cluster::discover(values.contains("hostfile") ? values["hostfile"].as<std::string>() : ""),
                           request),
      plan);
}

namespace {

/// --deadline and --simulate-preempt-after. Jobs are asked to hand themselves back so early that `grace` passes before
/// the end.
void set_deadline(const po::variables_map& values, orchestrator::SupervisorConfig& config) {
  const double now = unix_seconds();
  const auto& text = values["deadline"].as<std::string>();
  // What squeue prints for a job without a limit.
  const bool none = text == "none" || text == "NONE" || text == "N/A" || text == "Unknown";
  if (text == "auto") config.life.deadline = cluster::slurm_job_end(cluster::process_environment()).value_or(0);
  else if (!none) config.life.deadline = cluster::parse_deadline(text, now);
  if (config.life.deadline > 0) {
    constexpr double kLeave = 5;  // s to write status and leave
    config.stop_at = config.life.deadline - config.grace - kLeave;
    config.stop_reason = "the walltime ends";
    if (config.stop_at <= now) {
      throw Error(
          fmt::format("the deadline is {:.0f} s away, less than the {:.0f} s that handing back takes. Cure: a shorter "
                      "--grace, or a later --deadline",
                      std::max(0.0, config.life.deadline - now), config.grace + kLeave));
    }
  }
  if (values.contains("simulate-preempt-after")) {
    const double after = values["simulate-preempt-after"].as<double>();
    if (!(after > 0)) throw UsageError("--simulate-preempt-after needs a number of seconds above 0");
    if (config.stop_at == 0 || now + after < config.stop_at) {
      config.stop_at = now + after;
      config.stop_reason = fmt::format("preemption rehearsed after {:g} s", after);
    }
  }
}

}  // namespace

orchestrator::SupervisorConfig supervision_from(const po::variables_map& values, const jobs::Plan& plan) {
  orchestrator::SupervisorConfig config;
  config.launch = launch_from(values, plan);
  if (plan.numerics.device == "cpu") config.life.isa = plan.numerics.isa;
  config.grace = values["grace"].as<double>();
  if (values.contains("deadline")) set_deadline(values, config);
  if (values.contains("checkpoint-every")) {
    config.life.checkpoint_every = values["checkpoint-every"].as<double>();
    if (!(config.life.checkpoint_every >= 0.01 && config.life.checkpoint_every <= 86400)) {
      throw UsageError("--checkpoint-every must be between 0.01 and 86400 seconds");
    }
  }
  double beat = 0, suspect = 0, lost = 0;
  char rest = 0;
  const auto& text = values["heartbeat"].as<std::string>();
  if (std::sscanf(text.c_str(), "%lf/%lf/%lf%c", &beat, &suspect, &lost, &rest) != 3 || beat <= 0 || suspect <= beat ||
      lost <= suspect) {
    throw UsageError("--heartbeat needs three growing numbers of seconds, e.g. 5/30/120, not '" + text + "'");
  }
  config.life.beat_every = beat;
  config.life.scheduler.suspect_after = suspect;
  config.life.scheduler.lost_after = lost;
  config.life.cancel_grace = 0.8 * config.grace;
  config.life.chaos = values["chaos"].as<std::string>();
  try {
    static_cast<void>(parse_chaos(config.life.chaos));
  } catch (const Error& e) {
    throw UsageError(e.what());
  }
  config.life.scheduler.no_progress_after = std::max(5 * lost, 60.0);
  return config;
}

}  // namespace guda::cli
