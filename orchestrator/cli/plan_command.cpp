#include <fmt/format.h>

#include <iostream>
#include <map>

#include "cluster/launch_plan.hpp"
#include "jobs/cost.hpp"
#include "orchestrator/cli/command_line.hpp"
#include "orchestrator/cli/commands.hpp"
#include "orchestrator/prepare_run.hpp"
#include "orchestrator/progress.hpp"
#include "orchestrator/reuse.hpp"
#include "orchestrator/run_store.hpp"
#include "orchestrator/serve.hpp"
#include "orchestrator/virtual_run.hpp"

namespace guda::cli {
namespace po = boost::program_options;
using namespace guda::orchestrator;

int plan_command(const Arguments& arguments) {
  po::options_description options("options");
  options.add_options()("workers", po::value<std::uint32_t>(), "worker processes [the experiment's, else one per core]")(
      "run-dir", po::value<std::string>(), "count what this run directory already has as done")(
      "set", po::value<std::vector<std::string>>()->composing(), "override a key: training.steps=100 (repeatable)")(
      "jobs", "list every job")("json", "print as JSON");
  const auto values = parse({"guda plan EXPERIMENT [options]",
                             "Checks an experiment and prints its jobs and predicted cost. Starts nothing, writes nothing.",
                             "  guda plan jobs/recipes/digits.yaml\n  guda plan my.yaml --workers 8 --json\n"},
                            options, {"experiment"}, arguments);
  if (!values) return kDone;
  const auto overrides = values->contains("set") ? (*values)["set"].as<std::vector<std::string>>() : std::vector<std::string>{};
  const jobs::Plan plan = plan_experiment((*values)["experiment"].as<std::string>(), overrides).plan;
  const std::uint32_t wanted = values->contains("workers") ? (*values)["workers"].as<std::uint32_t>() : plan.experiment.resources.workers;
  const auto launch = cluster::plan_local(wanted, plan.numerics.threads);

  std::vector<bool> settled(plan.jobs.size(), false);
  auto folders = reused_folders(plan);
  std::map<Digest, Commit> commits;
  if (values->contains("run-dir")) {
    const RunLayout run{(*values)["run-dir"].as<std::string>()};
    commits = commits_of(read_journal(run.journal()));
    for (const auto& folder : artifact_folders(run)) folders.push_back(folder);
  }
  if (!folders.empty()) settled = settled_jobs(plan, commits, folders);
  struct Row {
    std::uint64_t jobs = 0, done = 0;
    double cost = 0;
  };
  std::map<std::string, Row> rows;
  double total = 0;
  for (std::size_t i = 0; i < plan.jobs.size(); ++i) {
    Row& row = rows[jobs::kind_of(plan.jobs[i].work)];
    ++row.jobs;
    row.done += settled[i] ? 1 : 0;
    row.cost += settled[i] ? 0 : plan.jobs[i].cost;
    total += settled[i] ? 0 : plan.jobs[i].cost;
  }
  const VirtualRun virtual_run = run_virtually(nodes_of(plan), settled, launch.workers);
  const std::string assumption = fmt::format("{:.0f} GFLOP/s per worker, {:.2f} MMAC per forward", jobs::kAssumedFlops / 1e9,
                                             jobs::unet2d_macs(plan.experiment.model) / 1e6);
  if (values->contains("json")) {
    Json kinds = Json::object(), list = Json::array();
    for (const auto& [kind, row] : rows) kinds[kind] = {{"jobs", row.jobs}, {"done", row.done}, {"device_seconds", row.cost}};
    Json out{{"schema", 1}, {"experiment", plan.experiment.name}, {"plan_digest", plan.digest.hex}, {"groups", plan.groups},
             {"queries", plan.queries.size()}, {"slots", plan.slots.size()}, {"workers", launch.workers}, {"kinds", kinds},
             {"device_seconds", total}, {"wall_seconds", virtual_run.makespan}, {"utilisation", virtual_run.utilisation},
             {"assumption", assumption}};
    if (values->contains("jobs")) {
      for (const auto& job : plan.jobs) list.push_back({{"digest", job.digest.hex}, {"label", job.label}, {"cost", job.cost}});
      out["jobs"] = list;
    }
    std::cout << out.dump(2) << "\n";
    return kDone;
  }
  std::cout << fmt::format("{}: {} groups, {} queries, {} slots ({} run seed{})\n\n", plan.experiment.name, plan.groups.size(),
                           plan.queries.size(), plan.slots.size(), plan.experiment.seeds.size(), plan.experiment.seeds.size() == 1 ? "" : "s");
  std::cout << fmt::format("  {:<10} {:>6} {:>6} {:>16}\n", "kind", "jobs", "done", "device-time");
  for (const auto& [kind, row] : rows) std::cout << fmt::format("  {:<10} {:>6} {:>6} {:>16}\n", kind, row.jobs, row.done, duration_text(row.cost));
  std::cout << fmt::format("\n  {} device-time left; about {} on {} worker{} ({:.0f} % busy)\n  assumed: {}\n", duration_text(total),
                           duration_text(virtual_run.makespan), launch.workers, launch.workers == 1 ? "" : "s",
                           100 * virtual_run.utilisation, assumption);
  if (values->contains("jobs")) {
    std::cout << "\n";
    for (const auto& job : plan.jobs) std::cout << fmt::format("  {}  {:>10}  {}\n", job.digest.brief(), duration_text(job.cost), job.label);
  }
  return kDone;
}

}  // namespace guda::cli
