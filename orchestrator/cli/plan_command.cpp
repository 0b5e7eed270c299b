#include <fmt/format.h>

#include <filesystem>
#include <iostream>
#include <map>
#include <optional>
#include <set>
#include <variant>

#include "cluster/walltime.hpp"
#include "jobs/memory.hpp"
#include "jobs/pipeline_folder.hpp"
#include "jobs/race.hpp"
#include "orchestrator/cli/command_line.hpp"
#include "orchestrator/cli/commands.hpp"
#include "orchestrator/cli/estimate_options.hpp"
#include "orchestrator/cli/run_options.hpp"
#include "orchestrator/prepare_run.hpp"
#include "orchestrator/progress.hpp"
#include "orchestrator/reuse.hpp"
#include "orchestrator/run_store.hpp"
#include "orchestrator/stages.hpp"

namespace guda::cli {
namespace po = boost::program_options;
using namespace guda::orchestrator;

namespace {

/// What a plan on this machine takes for granted, one sentence each.
std::vector<std::string> assumptions(const PlannedExperiment& planned, std::uint32_t imagined_gpus) {
  std::vector<std::string> notes;
  const auto& path = planned.plan.experiment.dataset.path;
  if (!planned.data_read) {
    const bool canvas = planned.plan.experiment.dataset.kind == "unlearncanvas";
    notes.push_back(fmt::format(
        "The data were not checked: there is no {}. Counted with are {}; nothing counts as done", path.string(),
        canvas ? "the 24,000 pictures of UnlearnCanvas as published, 20 of each of 20 objects in each of 60 styles"
               : "the 50,000 training images of CIFAR-10 as published, 5,000 of each class"));
  }
  const std::filesystem::path& pipeline = planned.plan.experiment.pipeline.folder;
  if (!pipeline.empty() && !std::filesystem::exists(pipeline)) {
    notes.push_back(fmt::format(
        "The pipeline's weights were not checked: there is no {}. Planned as Stable Diffusion 1.5", pipeline.string()));
  }
  for (const std::string& picture : planned.skipped) notes.push_back("Left out: " + picture);
  std::set<std::string> encoders;
  for (const jobs::JobSpec& job : planned.plan.jobs) {
    const auto* features = std::get_if<jobs::FeaturesSpec>(&job.work);
    if (features != nullptr && !features->encoder.empty() && features->encoder_content.empty())
      encoders.insert(features->encoder.string());
  }
  for (const std::string& encoder : encoders)
    notes.push_back("The encoder's weights were not checked: there is no config.json and model.safetensors in " +
                    encoder);
  if (jobs::awaits_pilot(planned.plan)) {
    notes.push_back(
        "A pilot will decide on the slots: the jobs that score them are counted and priced, but their digests are not "
        "known yet");
  }
  if (imagined_gpus > 0) {
    notes.push_back(
        fmt::format("There is no GPU here: planned for {} imagined one{}. --nodes N --gpus-per-node G plans for a "
                    "cluster",
                    imagined_gpus, imagined_gpus == 1 ? "" : "s"));
  }
  return notes;
}

}  // namespace

int plan_command(const Arguments& arguments) {
  po::options_description options("options");
  options.add_options()("run-dir", po::value<std::string>(), "count what this run directory already has as done")(
      "set", po::value<std::vector<std::string>>()->composing(), "override a key: training.steps=100 (repeatable)")(
      "deadline", po::value<std::string>(), "walltime of each life: 12h, 90m, 1-12:00:00")(
      "jobs", "list every job, with its cost and the memory of a worker")("json", "print as JSON");
  add_node_options(options);
  add_supervision_options(options);
  const auto values =
      parse({"guda plan EXPERIMENT [options]",
             "Checks an experiment and prints its jobs and predicted cost: device-hours, wall time by the real "
             "scheduler in virtual\n"
             "time, lives under a walltime, disk, memory, LOGO's cost beside GUDA's. Starts nothing, writes nothing.",
             "  guda plan jobs/recipes/digits.yaml\n  guda plan my.yaml --workers 8 --json\n"
             "  guda plan my.yaml --nodes 4 --gpus-per-node 8 --deadline 12h\n"},
            options, {"experiment"}, arguments);
  if (!values) return kDone;
  const auto overrides =
      values->contains("set") ? (*values)["set"].as<std::vector<std::string>>() : std::vector<std::string>{};
  const std::filesystem::path file = (*values)["experiment"].as<std::string>();
  PlannedExperiment planned = plan_experiment(file, overrides, !values->contains("run-dir"));
  if (values->contains("run-dir"))
    planned.plan = plan_so_far(RunLayout{(*values)["run-dir"].as<std::string>()}, std::move(planned.plan));
  const jobs::Plan plan = plan_to_price(planned);
  const bool imagined_gpu = plan.numerics.device == "cuda" && !asks_for_nodes(*values) &&
                            !values->contains("hostfile") && !cluster::in_slurm(cluster::process_environment()) &&
                            cluster::visible_gpus().empty();
  const cluster::LaunchPlan launch = imagined_gpu              ? launch_on_imagined_gpus(*values, plan)
                                     : asks_for_nodes(*values) ? launch_on_nodes(*values, plan)
                                                               : launch_from(*values, plan);
  std::vector<std::string> notes = assumptions(planned, imagined_gpu ? launch.workers : 0);

  std::vector<bool> settled(plan.jobs.size(), false);
  auto folders = reused_folders(plan);
  std::map<Digest, Commit> commits;
  if (values->contains("run-dir") || std::filesystem::is_directory(file)) {
    const RunLayout run{values->contains("run-dir") ? (*values)["run-dir"].as<std::string>() : file.string()};
    commits = commits_of(read_journal(run.journal()));
    for (const auto& folder : artifact_folders(run)) folders.push_back(folder);
  }
  if (!folders.empty()) settled = settled_jobs(plan, commits, folders);
  EstimateOptions how;
  how.workers = launch.workers;
  how.workers_per_node = launch.nodes.front().workers;
  if (values->contains("deadline")) {
    how.walltime = cluster::parse_duration((*values)["deadline"].as<std::string>());
    how.reserve = signal_lead((*values)["grace"].as<double>());
  }
  const Estimate e = estimate_with_calibration(plan, settled, how);
  const jobs::FrozenParts parts = jobs::frozen_parts(plan.experiment);
  std::optional<Estimate> cheapest;
  if (jobs::races(plan.experiment.scoring)) {
    const jobs::Plan least = cheapest_plan(planned);
    cheapest = estimate_with_calibration(least, settled_jobs(least, commits, folders), how);
    notes.push_back(
        fmt::format("A race to {} is priced as if no place were decided before all {} slots are spent; where all are "
                    "decided as soon "
                    "as can be it takes {} of device-time instead of {}, {} instead of {} on these workers",
                    plan.experiment.scoring.until, plan.experiment.scoring.slots,
                    duration_text(cheapest->device_seconds.p50), duration_text(e.device_seconds.p50),
                    duration_text(cheapest->wall_seconds.p50), duration_text(e.wall_seconds.p50)));
  }
  if (values->contains("json")) {
    Json out = to_json(e);
    out.update(Json{{"schema", 1},
                    {"experiment", plan.experiment.name},
                    {"plan_digest", planned.plan.digest.hex},
                    {"groups", plan.groups},
                    {"queries", plan.queries.size()},
                    {"slots", plan.slots.size()},
                    {"workers", launch.workers},
                    {"nodes", launch.nodes.size()},
                    {"assumptions", notes}});
    if (cheapest) {
      out["race"] = {{"until", plan.experiment.scoring.until},
                     {"device_seconds_at_least", cheapest->device_seconds.p50},
                     {"device_seconds_at_most", e.device_seconds.p50},
                     {"wall_seconds_at_least", cheapest->wall_seconds.p50},
                     {"wall_seconds_at_most", e.wall_seconds.p50}};
    }
    if (values->contains("jobs")) {
      Json list = Json::array();
      for (const auto& job : plan.jobs)
        list.push_back({{"digest", job.digest.hex},
                        {"label", job.label},
                        {"cost", job.cost},
                        {"memory_bytes", jobs::job_memory(job, plan.experiment, parts)}});
      out["jobs"] = list;
    }
    std::cout << out.dump(2) << "\n";
  } else {
    std::cout << estimate_text(plan, e, how);
    for (const std::string& note : notes) std::cout << "  " << note << ".\n";
    if (values->contains("jobs")) {
      std::cout << "\n";
      for (const auto& job : plan.jobs) {
        const double memory = jobs::job_memory(job, plan.experiment, parts);
        std::cout << fmt::format("  {}  {:>10}  {:>8}  {}\n", job.digest.brief(), duration_text(job.cost),
                                 memory > 0 ? bytes_text(memory) : "-", job.label);
      }
    }
  }
  if (!e.fits) {
    const std::string cure =
        how.walltime <= how.reserve
            ? fmt::format("a longer walltime than the {} kept for handing jobs back, or a shorter --grace",
                          duration_text(how.reserve))
            : fmt::format(
                  "a longer walltime, or smaller jobs (scoring.block); the longest without checkpoints is '{}', up to "
                  "{}",
                  e.longest_uncut_label, duration_text(e.longest_uncut));
    std::cerr << "guda plan: this does not fit in lives of " << duration_text(how.walltime) << ". Cure: " << cure
              << ".\n";
    return kBadInput;
  }
  if (const std::string objection = memory_objection(plan, e); !objection.empty()) {
    std::cerr << "guda plan: " << objection << ".\n";
    return kBadInput;
  }
  return kDone;
}

}  // namespace guda::cli
