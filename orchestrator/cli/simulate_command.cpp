#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <iostream>

#include "cluster/walltime.hpp"
#include "common/clock.hpp"
#include "common/memory.hpp"
#include "orchestrator/cli/command_line.hpp"
#include "orchestrator/cli/commands.hpp"
#include "orchestrator/cli/estimate_options.hpp"
#include "orchestrator/progress.hpp"
#include "orchestrator/synthetic_jobs.hpp"
#include "orchestrator/virtual_run.hpp"

namespace guda::cli {
namespace po = boost::program_options;
using namespace guda::orchestrator;

int simulate_command(const Arguments& arguments) {
  po::options_description options("options");
  options.add_options()("workers", po::value<std::uint32_t>()->default_value(10'000), "virtual workers")(
      "workers-per-node", po::value<std::uint32_t>()->default_value(8), "of them on a node")(
      "jobs", po::value<std::uint32_t>()->default_value(1'000'000), "jobs")(
      "seconds", po::value<double>()->default_value(600), "mean seconds of a job")(
      "spread", po::value<double>()->default_value(0.5),
      "jobs take seconds * (1 +- spread); the scheduler knows each one's cost")(
      "surprise", po::value<double>()->default_value(0),
      "they really take cost * (1 +- surprise): how wrong predictions are")(
      "failures", po::value<double>()->default_value(0), "share of attempts that crash in their middle")(
      "walltime", po::value<std::string>(), "lives of this length, each requeued after two minutes")(
      "blind", "the scheduler takes all jobs for equal: what first come, first served would do")(
      "styles", "every eleventh job unlearns a style; each of the ten behind it scores a block under what that left")(
      "gang", po::value<std::uint32_t>()->default_value(1),
      "every tenth job wants so many workers of one node at once")("seed", po::value<std::uint64_t>()->default_value(1),
                                                                   "of the virtual world")("json", "print as JSON");
  const auto values = parse(
      {"guda simulate [options]",
       "Runs a sweep on virtual workers in virtual time through the very scheduler that the coordinator uses: how long "
       "it would\n"
       "take, how busy the workers would be, and what the scheduler itself costs. Starts nothing, writes nothing.",
       "  guda simulate --workers 10000 --jobs 1000000 --failures 0.01\n  guda simulate --workers 64 --jobs 600 "
       "--walltime 12h --json\n"},
      options, {}, arguments);
  if (!values) return kDone;
  VirtualOptions v;
  v.workers = (*values)["workers"].as<std::uint32_t>();
  v.workers_per_node = (*values)["workers-per-node"].as<std::uint32_t>();
  v.spread = (*values)["surprise"].as<double>();
  v.failures = (*values)["failures"].as<double>();
  v.seed = (*values)["seed"].as<std::uint64_t>();
  const auto count = (*values)["jobs"].as<std::uint32_t>();
  const double seconds = (*values)["seconds"].as<double>(), spread = (*values)["spread"].as<double>();
  if (v.workers == 0 || v.workers > 1'000'000 || v.workers_per_node == 0)
    throw UsageError("--workers must be 1 .. 1000000, --workers-per-node at least 1");
  const auto gang = (*values)["gang"].as<std::uint32_t>();
  if (gang == 0 || gang > std::min({v.workers, v.workers_per_node, kMostMembers}))
    throw UsageError("--gang must be 1 .. the workers of a node, at most " + std::to_string(kMostMembers));
  if (count == 0 || count > 20'000'000) throw UsageError("--jobs must be 1 .. 20000000");
  if (!(seconds > 0) || !(spread >= 0 && spread < 1) || !(v.spread >= 0 && v.spread < 1) ||
      !(v.failures >= 0 && v.failures < 1)) {
    throw UsageError("--seconds must be above 0; --spread, --surprise and --failures 0 .. 1 without 1");
  }
  if (values->contains("walltime")) {
    v.life = cluster::parse_duration((*values)["walltime"].as<std::string>());
    v.requeue = 120;
  }
  const double started = steady_seconds();
  const auto jobs = synthetic_jobs(count, seconds, spread, values->contains("styles"), v.seed, gang);
  auto known = jobs;
  if (values->contains("blind")) {
    for (std::size_t i = 0; i < jobs.size(); ++i) {
      v.seconds.push_back(jobs[i].cost);
      known[i].cost = seconds;
    }
  }
  const double cpu_before = process_cpu_seconds();
  const VirtualRun run = run_virtually(known, std::vector<bool>(jobs.size(), false), v);
  const double cpu = process_cpu_seconds() - cpu_before;
  const double took = steady_seconds() - started;
  const double bound = makespan_bound(jobs, v.workers);
  const double per_event = run.events > 0 ? cpu / double(run.events) : 0;
  if (values->contains("json")) {
    std::cout << Json{{"schema", 1},
                      {"workers", v.workers},
                      {"jobs", count},
                      {"gang", gang},
                      {"finished", run.finished},
                      {"makespan_seconds", run.makespan},
                      {"bound_seconds", bound},
                      {"makespan_over_bound", run.makespan / bound},
                      {"utilisation", run.utilisation},
                      {"utilisation_before_tail", run.utilisation_before_tail},
                      {"lives", run.lives},
                      {"failures", run.failures},
                      {"quarantined", run.quarantined},
                      {"lost_seconds", run.lost_seconds},
                      {"events", run.events},
                      {"coordinator_cpu_seconds", cpu},
                      {"cpu_seconds_per_event", per_event},
                      {"wall_seconds", took},
                      {"peak_memory_bytes", peak_memory()}}
                     .dump(2)
              << "\n";
  } else {
    std::cout << fmt::format("{} jobs of {} on {} virtual workers{}\n", count, duration_text(seconds), v.workers,
                             run.finished ? "" : ": NOT finished, a life passed without a commit");
    std::cout << fmt::format("  {:<26} {} = {:.3f} x max(work / workers, longest chain)\n", "makespan",
                             duration_text(run.makespan), run.makespan / bound);
    std::cout << fmt::format("  {:<26} {:.2f} % in all, {:.2f} % until nothing was left to start\n", "workers busy",
                             100 * run.utilisation, 100 * run.utilisation_before_tail);
    if (run.lives > 1) std::cout << fmt::format("  {:<26} {}\n", "lives", run.lives);
    std::cout << fmt::format("  {:<26} {} ({:.1f} worker-hours lost), {} jobs quarantined\n", "failed attempts",
                             run.failures, run.lost_seconds / 3600, run.quarantined);
    std::cout << fmt::format(
        "  {:<26} {:.1f} s CPU for {} events, {:.2f} us each = {:.4f} % of a core over the makespan\n", "scheduler",
        cpu, run.events, 1e6 * per_event, 100 * cpu / std::max(1e-9, run.makespan));
    std::cout << fmt::format("  {:<26} {} at most; simulated in {:.1f} s\n", "memory",
                             bytes_text(double(peak_memory())), took);
  }
  return run.finished ? kDone : kBadInput;
}

}  // namespace guda::cli
