#include "orchestrator/cli/run_options.hpp"

#include <cstdio>

#include "common/chaos.hpp"
#include "common/error.hpp"
#include "orchestrator/cli/command_line.hpp"

namespace guda::cli {
namespace po = boost::program_options;

void add_supervision_options(po::options_description& options) {
  options.add_options()("workers", po::value<std::uint32_t>(), "worker processes [the experiment's, else one per core]")(
      "grace", po::value<double>()->default_value(30), "seconds that running jobs get to hand themselves back on a stop signal")(
      "heartbeat", po::value<std::string>()->default_value("5/30/120"),
      "seconds: heartbeat period / suspected after / lost after")(
      "chaos", po::value<std::string>()->default_value(""),
      "break things on purpose, e.g. seed=7,kill=0.02,stop=0.01,torn=0.01 (docs/reliability.md)")(
      "checkpoint-every", po::value<double>(), "seconds between checkpoints inside a training or unlearning job [by cost and write time]");
}

orchestrator::SupervisorConfig supervision_from(const po::variables_map& values, const jobs::Plan& plan) {
  orchestrator::SupervisorConfig config;
  const std::uint32_t workers = values.contains("workers") ? values["workers"].as<std::uint32_t>() : plan.experiment.resources.workers;
  if (workers > 4096) throw UsageError("--workers must be at most 4096");
  config.launch = cluster::plan_local(workers, plan.numerics.threads);
  config.grace = values["grace"].as<double>();
  if (values.contains("checkpoint-every")) {
    config.life.checkpoint_every = values["checkpoint-every"].as<double>();
    if (!(config.life.checkpoint_every >= 0.01 && config.life.checkpoint_every <= 86400)) {
      throw UsageError("--checkpoint-every must be between 0.01 and 86400 seconds");
    }
  }
  double beat = 0, suspect = 0, lost = 0;
  char rest = 0;
  const auto& text = values["heartbeat"].as<std::string>();
  if (std::sscanf(text.c_str(), "%lf/%lf/%lf%c", &beat, &suspect, &lost, &rest) != 3 || beat <= 0 || suspect <= beat || lost <= suspect) {
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
