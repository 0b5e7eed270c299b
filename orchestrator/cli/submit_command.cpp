#include <fmt/format.h>
#include <sys/statfs.h>

#include <cmath>
#include <filesystem>
#include <iostream>

#include "cluster/batch_script.hpp"
#include "cluster/slurm_client.hpp"
#include "cluster/walltime.hpp"
#include "common/process.hpp"
#include "guda_build.hpp"
#include "orchestrator/batch_lives.hpp"
#include "orchestrator/cli/command_line.hpp"
#include "orchestrator/cli/commands.hpp"
#include "orchestrator/cli/estimate_options.hpp"
#include "orchestrator/cli/run_options.hpp"
#include "orchestrator/fenced_nodes.hpp"
#include "orchestrator/prepare_run.hpp"
#include "orchestrator/progress.hpp"
#include "orchestrator/run_lock.hpp"
#include "orchestrator/run_store.hpp"
#include "orchestrator/stages.hpp"

namespace guda::cli {
namespace fs = std::filesystem;
namespace po = boost::program_options;
using namespace guda::orchestrator;

namespace {

constexpr double kLibraryMemory = 500e6;  // bytes of LibTorch in a worker before any job

std::string text_of(const po::variables_map& values, const char* name) {
  return values.contains(name) ? values[name].as<std::string>() : "";
}

std::vector<std::string> list_of(const po::variables_map& values, const char* name) {
  return values.contains(name) ? values[name].as<std::vector<std::string>>() : std::vector<std::string>{};
}

/// A job name that every Slurm tool prints and parses.
std::string job_name(const std::string& experiment) {
  std::string name = "guda-";
  for (const char c : experiment)
    name += std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '_' || c == '-' ? c : '_';
  return name;
}

/// Memory file systems are seen by one node only; local disks usually too, but a login node may export them.
std::string sharing_problem(const fs::path& folder) {
  fs::path there = folder;
  while (!there.empty() && !fs::exists(there)) there = there.parent_path();
  struct statfs info{};
  if (::statfs(there.c_str(), &info) != 0) return "";
  constexpr long kTmpfs = 0x01021994, kRamfs = static_cast<long>(0x858458f6);
  if (info.f_type == kTmpfs || info.f_type == kRamfs) return "a memory file system of this machine";
  return "";
}

/// Options of `guda run` that were given here and belong to the lives.
std::vector<std::string> run_options(const po::variables_map& values) {
  std::vector<std::string> options;
  if (values.contains("workers"))
    options.insert(options.end(), {"--workers", std::to_string(values["workers"].as<std::uint32_t>())});
  for (const char* name : {"heartbeat", "bind", "mpi-args"}) {
    if (!values[name].defaulted())
      options.insert(options.end(), {std::string("--") + name, values[name].as<std::string>()});
  }
  options.insert(options.end(), {"--grace", fmt::format("{:g}", values["grace"].as<double>())});
  return options;
}

std::vector<std::string> about(const jobs::Plan& plan, const Estimate& e, const EstimateOptions& how,
                               const RunLayout& run) {
  return {fmt::format("written by guda {} ({}) for {}: plan {}", kGudaVersion, kGudaCommit, plan.experiment.name,
                      plan.digest.hex),
          fmt::format("estimate: {} device-time, {} wall on {} worker(s), {} {} of {}", range_text(e.device_seconds),
                      range_text(e.wall_seconds), how.workers, e.lives, e.lives == 1 ? "life" : "lives",
                      duration_text(how.walltime)),
          "  " + e.basis, "look at it with: guda status " + run.folder.string(),
          "it goes on where it stopped with: sbatch " + (run.folder / "job.sbatch").string()};
}

}  // namespace

int submit_command(const Arguments& arguments) {
  po::options_description options("options");
  options.add_options()("time", po::value<std::string>(), "walltime of each life: 12h, 90m, 1-12:00:00 (needed)")(
      "partition", po::value<std::string>(), "Slurm partition")("account", po::value<std::string>(), "Slurm account")(
      "constraint", po::value<std::string>(), "features that nodes must have")(
      "qos", po::value<std::string>(), "quality of service")("reservation", po::value<std::string>(), "reservation")(
      "mem", po::value<std::string>(), "memory per node [0: all of it, where nodes are whole]")(
      "sbatch-option", po::value<std::vector<std::string>>()->composing(),
      "another #SBATCH line, e.g. --exclusive (repeatable)")(
      "setup", po::value<std::vector<std::string>>()->composing(),
      "a shell line before the run, e.g. 'module load openmpi' (repeatable)")("container", po::value<std::string>(),
                                                                              "run inside this Apptainer image")(
      "no-requeue", "do not requeue a life that stopped early")(
      "max-lives", po::value<std::uint32_t>()->default_value(50), "stop requeueing after so many lives")(
      "barren-lives", po::value<std::uint32_t>()->default_value(3),
      "stop requeueing after so many lives without progress")(
      "run-dir", po::value<std::string>(), "run directory, visible from every node [runs/<name of the experiment>]")(
      "set", po::value<std::vector<std::string>>()->composing(), "override a key: training.steps=100 (repeatable)")(
      "extend", "allow an edited experiment to add jobs to an existing run directory")(
      "dry-run", "print estimate and script; write and submit nothing")("json", "print as JSON");
  add_node_options(options);
  add_supervision_options(options);
  const auto values =
      parse({"guda submit EXPERIMENT --nodes N --time T [options]",
             "Submits an experiment (or a run directory) to Slurm: prints its cost, writes job.sbatch into the run "
             "directory, calls sbatch.\n"
             "The job hands itself back before its walltime ends and requeues itself while it makes progress.",
             "  guda submit my.yaml --nodes 2 --gpus-per-node 4 --time 12h --account abc --partition gpu\n"
             "  guda submit my.yaml --nodes 1 --time 1h --dry-run\n"
             "  guda status runs/my          # from the login node, at any time\n"},
            options, {"experiment"}, arguments);
  if (!values) return kDone;
  if (!values->contains("time")) throw UsageError("--time is missing: the walltime of each life, e.g. --time 12h");
  const fs::path file = (*values)["experiment"].as<std::string>();
  PlannedExperiment planned = plan_experiment(file, list_of(*values, "set"));
  fs::path folder = values->contains("run-dir") ? fs::path((*values)["run-dir"].as<std::string>())
                    : fs::is_directory(file)    ? file
                                                : fs::path("runs") / planned.plan.experiment.name;
  const RunLayout run{fs::absolute(folder).lexically_normal()};
  planned.plan = plan_so_far(run, std::move(planned.plan));
  const jobs::Plan plan = plan_to_price(planned);

  const cluster::LaunchPlan launch = launch_on_nodes(*values, plan);
  std::vector<bool> settled(plan.jobs.size(), false);
  if (fs::exists(run.plan()))
    settled = settled_jobs(plan, commits_of(read_journal(run.journal())), artifact_folders(run));
  EstimateOptions how;
  how.workers = launch.workers;
  how.workers_per_node = launch.nodes.front().workers;
  how.walltime = cluster::parse_duration((*values)["time"].as<std::string>());
  how.reserve = signal_lead((*values)["grace"].as<double>());
  const Estimate e = estimate_with_calibration(plan, settled, how);

  cluster::BatchRequest batch;
  batch.job_name = job_name(plan.experiment.name);
  batch.run_folder = run.folder.string();
  batch.program = (executable_folder() / "guda").string();
  batch.run_options = run_options(*values);
  batch.about = about(plan, e, how, run);
  batch.setup = list_of(*values, "setup");
  batch.container = text_of(*values, "container");
  batch.nodes = static_cast<std::uint32_t>(launch.nodes.size());
  batch.cores_per_node = launch.nodes.front().cores;
  batch.gpus_per_node = launch.nodes.front().gpus;
  batch.walltime = how.walltime;
  batch.signal_lead = static_cast<std::uint32_t>(std::ceil(how.reserve));
  batch.partition = text_of(*values, "partition");
  batch.account = text_of(*values, "account");
  batch.constraint = text_of(*values, "constraint");
  batch.qos = text_of(*values, "qos");
  batch.reservation = text_of(*values, "reservation");
  batch.memory = text_of(*values, "mem");
  batch.extra = list_of(*values, "sbatch-option");
  batch.requeue = !values->contains("no-requeue");
  batch.max_lives = (*values)["max-lives"].as<std::uint32_t>();
  batch.barren_lives = (*values)["barren-lives"].as<std::uint32_t>();
  batch.exclude = fenced_nodes(run);
  const std::string script = cluster::batch_script(batch);
  const bool json = values->contains("json"), dry = values->contains("dry-run");
  if (!json) std::cout << estimate_text(plan, e, how) << std::endl;

  std::vector<std::string> reasons;
  if (!e.fits) {
    reasons.push_back(how.walltime <= how.reserve
                          ? fmt::format("a walltime of {} ends before the {} that handing back needs. Cure: a longer "
                                        "--time, or a shorter --grace",
                                        duration_text(how.walltime), duration_text(how.reserve))
                          : fmt::format("the longest job without checkpoints, '{}', may take {}; a life of {} has room "
                                        "for {}. Cure: a longer --time, or "
                                        "smaller jobs (scoring.block)",
                                        e.longest_uncut_label, duration_text(e.longest_uncut),
                                        duration_text(how.walltime), duration_text(how.walltime - how.reserve)));
  }
  if (auto objection = memory_objection(plan, e); !objection.empty()) reasons.push_back(std::move(objection));
  if (const std::string problem = sharing_problem(run.folder); !problem.empty()) {
    reasons.push_back(
        fmt::format("the run directory {} is on {}: no node would see it. Cure: --run-dir on a shared file system",
                    run.folder.string(), problem));
  }
  const auto known = cluster::partitions();
  if (known) {
    const double memory =
        launch.nodes.front().gpus > 0 ? 0 : launch.nodes.front().workers * (e.memory + kLibraryMemory);
    for (auto& reason : cluster::reasons_against(*known, {batch.partition, batch.nodes, batch.cores_per_node,
                                                          batch.gpus_per_node, batch.walltime, memory})) {
      reasons.push_back(std::move(reason));
    }
  }
  std::string all;
  for (const std::string& reason : reasons) all += (all.empty() ? "" : "\n") + std::string("  - ") + reason + ".";
  if (dry) {
    if (json) std::cout << Json{{"estimate", to_json(e)}, {"script", script}, {"reasons", reasons}}.dump(2) << "\n";
    else std::cout << script;
    if (!reasons.empty()) std::cerr << "guda submit: this would be refused:\n" << all << "\n";
    return reasons.empty() ? kDone : kBadInput;
  }
  if (!reasons.empty()) throw Error("not submitted:\n" + all);

  make_run_folders(run);
  {
    RunLock lock(run.lock());
    install_plan(run, planned, values->contains("extend"));
  }
  const fs::path script_file = run.folder / "job.sbatch";
  replace_file(script_file, script, true);
  fs::permissions(script_file, fs::perms::owner_all);
  const std::string id = cluster::submit(script_file.string(), false);
  BatchLives lives;
  lives.job = id;
  lives.before = achieved(run);
  write_batch(batch_file(run), lives);
  if (json) {
    std::cout << Json{{"job", id},
                      {"run", run.folder.string()},
                      {"script", script_file.string()},
                      {"estimate", to_json(e)}}
                     .dump(2)
              << "\n";
  } else {
    std::cout << fmt::format(
        "submitted Slurm job {}\n  status  guda status {}\n  log     {}/slurm-{}.out\n  stop    scancel --batch "
        "--signal=USR2 {}\n",
        id, run.folder.string(), run.logs().string(), id, id);
  }
  return kDone;
}

}  // namespace guda::cli
