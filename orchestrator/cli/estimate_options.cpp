#include "orchestrator/cli/estimate_options.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "jobs/pipeline_folder.hpp"
#include "orchestrator/calibration_file.hpp"
#include "orchestrator/cli/command_line.hpp"
#include "orchestrator/progress.hpp"

namespace guda::cli {
namespace po = boost::program_options;
using namespace guda::orchestrator;

void add_node_options(po::options_description& options) {
  options.add_options()("nodes", po::value<std::uint32_t>(), "nodes of a cluster")(
      "gpus-per-node", po::value<std::uint32_t>()->default_value(0), "GPUs on each of them")(
      "cores-per-node", po::value<std::uint32_t>()->default_value(0),
      "cores on each of them [GPUs: 8 each; CPU: those of this machine]");
}

bool asks_for_nodes(const po::variables_map& values) {
  return values.contains("nodes") || values["gpus-per-node"].as<std::uint32_t>() > 0;
}

namespace {

std::uint32_t wanted_workers(const po::variables_map& values, const jobs::Plan& plan) {
  return values.contains("workers") ? values["workers"].as<std::uint32_t>() : plan.experiment.resources.workers;
}

/// `cores` of a node; 0 = enough for its GPUs, or those of this machine.
cluster::LaunchPlan launch_on(std::uint32_t nodes, std::uint32_t gpus, std::uint32_t cores, std::uint32_t workers,
                              const jobs::Plan& plan) {
  if (nodes == 0 || nodes > 65'536) throw UsageError("--nodes must be 1 .. 65536");
  if (cores == 0)
    cores = gpus > 0 ? std::max(8U, plan.numerics.threads) * gpus : cluster::this_machine().nodes.front().cores;
  cluster::Topology topology;
  topology.source = cluster::Source::slurm;
  topology.job = "planned";
  for (std::uint32_t i = 0; i < nodes; ++i) topology.nodes.push_back({fmt::format("n{}", i + 1), cores, gpus});
  cluster::LaunchRequest request;
  request.workers = workers;
  request.threads = plan.numerics.threads;
  request.device = plan.numerics.device;
  request.per_device = plan.experiment.resources.workers_per_device;
  return with_room_for_gangs(cluster::plan_launch(topology, request), plan);
}

}  // namespace

cluster::LaunchPlan with_room_for_gangs(cluster::LaunchPlan launch, const jobs::Plan& plan) {
  std::uint32_t most = 0, gang = 1;
  for (const cluster::NodeShare& node : launch.nodes) most = std::max(most, node.workers);
  for (const jobs::JobSpec& job : plan.jobs) gang = std::max(gang, jobs::gang_of(job.work));
  if (gang > most) {
    throw Error(fmt::format(
        "resources.gang: {} workers of one node are to train a model together, but no node has more than {} worker{}. "
        "Cure: more --workers, larger nodes, fewer resources.threads, or a smaller gang (other bits: a run of its own)",
        gang, most, most == 1 ? "" : "s"));
  }
  return launch;
}

cluster::LaunchPlan launch_on_nodes(const po::variables_map& values, const jobs::Plan& plan) {
  return launch_on(values.contains("nodes") ? values["nodes"].as<std::uint32_t>() : 1,
                   values["gpus-per-node"].as<std::uint32_t>(), values["cores-per-node"].as<std::uint32_t>(),
                   wanted_workers(values, plan), plan);
}

cluster::LaunchPlan launch_on_imagined_gpus(const po::variables_map& values, const jobs::Plan& plan) {
  const std::uint32_t workers = std::max(1U, wanted_workers(values, plan));
  return launch_on(1, workers, 0, workers, plan);
}

double signal_lead(double grace) { return grace + 60 + 30; }

Estimate estimate_with_calibration(const jobs::Plan& plan, const std::vector<bool>& settled,
                                   const EstimateOptions& options) {
  const auto file = calibration_path();
  const jobs::Calibration calibration = load_calibration(file);
  const std::string kind = device_kind(
      plan.numerics, plan.numerics.device == "cuda" ? cluster::visible_gpus() : std::vector<cluster::Gpu>{});
  const auto device = calibration.find(kind);
  const jobs::CostPredictor costs(device == calibration.end() ? nullptr : &device->second, plan.experiment.model, kind);
  EstimateOptions how = options;
  how.parts = jobs::frozen_parts(plan.experiment);
  return estimate(plan, settled, costs, how);
}

std::string memory_objection(const jobs::Plan& plan, const Estimate& e) {
  if (plan.numerics.device != "cuda") return "";
  std::uint64_t most = 0;
  std::string name;
  const auto consider = [&](std::uint64_t memory, const std::string& kind) {
    if (memory > most) name = kind;
    most = std::max(most, memory);
  };
  for (const cluster::Gpu& gpu : cluster::visible_gpus()) consider(gpu.memory, "cuda " + gpu.model);
  for (const auto& [kind, device] : load_calibration(calibration_path())) {
    if (kind.starts_with("cuda ")) consider(device.device_memory, kind);
  }
  if (most == 0 || e.memory <= double(most)) return "";
  return fmt::format(
      "a job needs {} on its GPU, the largest known here ({}) has {}. Cure: smaller batches (training.batch, "
      "scoring.batch), a smaller model, or larger GPUs: guda doctor --calibrate on one of their nodes makes them known",
      bytes_text(e.memory), name, bytes_text(double(most)));
}

std::string range_text(const jobs::Cost& s) {
  const auto text = [&](double divisor, const char* unit) {
    return fmt::format("{:.3g} {} ({:.3g} .. {:.3g})", s.p50 / divisor, unit, s.p10 / divisor, s.p90 / divisor);
  };
  if (s.p50 >= 2 * 3600) return text(3600, "h");
  if (s.p50 >= 120) return text(60, "min");
  return text(1, "s");
}

std::string bytes_text(double bytes) {
  if (bytes >= 1e9) return fmt::format("{:.3g} GB", bytes / 1e9);
  if (bytes >= 1e6) return fmt::format("{:.3g} MB", bytes / 1e6);
  return fmt::format("{:.0f} kB", bytes / 1e3);
}

std::string estimate_text(const jobs::Plan& plan, const Estimate& e, const EstimateOptions& options) {
  const auto plural = [](std::uint64_t n, const char* word) {
    return fmt::format("{} {}{}", n, word, n == 1 ? "" : "s");
  };
  std::string text = fmt::format("{}: {} groups, {} queries, {} slots ({}), models of {:.3g} M parameters\n\n",
                                 plan.experiment.name, plan.groups.size(), plan.queries.size(), plan.slots.size(),
                                 plural(plan.experiment.seeds.size(), "run seed"), e.parameters / 1e6);
  text += fmt::format("  {:<10} {:>8} {:>8}  {:<34} {:>12} {:>10}\n", "kind", "jobs", "done",
                      "device-time left (p10 .. p90)", "longest job", "memory");
  for (const auto& [name, kind] : e.kinds) {
    text += fmt::format("  {:<10} {:>8} {:>8}  {:<34} {:>12} {:>10}\n", name, kind.jobs, kind.done,
                        range_text(kind.seconds), duration_text(kind.longest),
                        kind.memory > 0 ? bytes_text(kind.memory) : "-");
  }
  text += fmt::format("\n  {:<24} {}\n", "device-time left", range_text(e.device_seconds));
  if (e.gang > 1) text += fmt::format("  {:<24} {} workers of one node train a model together\n", "gangs", e.gang);
  if (options.walltime > 0 && !e.fits) {
    text += fmt::format("  {:<24} does not fit in {} (of which the last {} are kept for handing back)\n", "wall time",
                        duration_text(options.walltime), duration_text(options.reserve));
  } else {
    text += fmt::format("  {:<24} {} on {}, {:.0f} % busy\n", "wall time", range_text(e.wall_seconds),
                        plural(options.workers, "worker"), 100 * e.utilisation);
  }
  if (options.walltime > 0 && e.fits) {
    text += fmt::format("  {:<24} {} of {}{}\n", "lives", e.lives, duration_text(options.walltime),
                        e.lives > 1 ? fmt::format(", requeued {} time{} (about {} each)", e.lives - 1,
                                                  e.lives == 2 ? "" : "s", duration_text(options.requeue))
                                    : "");
  }
  text += fmt::format("  {:<24} {} at most, {} kept ({})\n", "disk", bytes_text(e.disk_peak), bytes_text(e.disk_kept),
                      plan.experiment.retention.keep);
  text += fmt::format("  {:<24} {} for the largest job, beside the library's own\n", "memory per worker",
                      bytes_text(e.memory));
  const auto reference = e.methods.find(plan.experiment.comparison.reference);
  for (const auto& [name, cost] : e.methods) {
    const bool has_ratio =
        reference != e.methods.end() && name != reference->first && cost.p50 > 0 && reference->second.p50 > 0;
    text += fmt::format(
        "  {:<24} {}{}\n", "cost of " + name, range_text(cost),
        has_ratio ? fmt::format(": 1/{:.3g} of {}", reference->second.p50 / cost.p50, reference->first) : "");
  }
  text += "  " + e.basis + "\n";
  return text;
}

}  // namespace guda::cli
