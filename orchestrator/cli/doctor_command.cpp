#include <fmt/format.h>
#include <fmt/ranges.h>

#include <filesystem>
#include <iostream>
#include <random>

#include "cluster/launch_plan.hpp"
#include "cluster/walltime.hpp"
#include "common/capture.hpp"
#include "common/clock.hpp"
#include "common/cpu.hpp"
#include "common/files.hpp"
#include "common/process.hpp"
#include "guda_build.hpp"
#include "jobs/data_folder.hpp"
#include "jobs/dataset.hpp"
#include "jobs/experiment_file.hpp"
#include "jobs/planner.hpp"
#include "orchestrator/calibrate.hpp"
#include "orchestrator/calibration_file.hpp"
#include "orchestrator/cli/command_line.hpp"
#include "orchestrator/cli/commands.hpp"
#include "orchestrator/cli/estimate_options.hpp"
#include "orchestrator/node_probe.hpp"
#include "orchestrator/progress.hpp"

namespace guda::cli {
namespace fs = std::filesystem;
namespace po = boost::program_options;
using namespace guda::orchestrator;

namespace {

enum class Level { ok, note, bad };

struct Check {
  std::string name, finding, cure;
  Level level = Level::ok;
};

template <class Probe>
Check check(const std::string& name, const std::string& cure, Probe&& probe) {
  try {
    return {name, probe(), "", Level::ok};
  } catch (const std::exception& e) {
    return {name, e.what(), cure, Level::bad};
  }
}

/// Every node answers for itself: does mpirun reach it, does it see the run folder, can a worker start there?
void check_nodes(const fs::path& folder, const cluster::LaunchPlan& launch, std::vector<Check>& checks) {
  std::random_device device;
  const std::string token = fmt::format("{:08x}{:08x}", device(), device());
  std::vector<std::string> nodes;
  for (const auto& share : launch.nodes) nodes.push_back(share.node);
  Captured said;
  double asked = 0, answered = 0;
  try {
    replace_file(folder / token_file(), token, false);
    ::setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 1);
    ::setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1", 1);
    asked = unix_seconds();
    said = capture(cluster::each_node_command(launch, {(executable_folder() / "guda").string(), "doctor", "--answer",
                                                       token, "--run-dir", folder.string()}),
                   120 + 0.2 * double(nodes.size()));
    answered = unix_seconds();
    fs::remove(folder / token_file());
  } catch (const std::exception& e) {
    checks.push_back({"launch", e.what(), "see the lines above", Level::bad});
    return;
  }
  const auto answers = decode_answers(said.output);
  if (answers.empty()) {
    checks.push_back({"launch", said.timed_out ? "mpirun did not end" : "mpirun failed: " + said.output.substr(0, 600),
                      "try mpirun by hand with the same hosts; --mpi-args passes what your network needs", Level::bad});
    return;
  }
  checks.push_back(
      {"launch",
       fmt::format("mpirun reached {} of {} node{}", answers.size(), nodes.size(), nodes.size() == 1 ? "" : "s"), "",
       answers.size() < nodes.size() ? Level::bad : Level::ok});
  const NodeVerdict verdict = judge(answers, nodes, asked, answered);
  for (const std::string& bad : verdict.bad)
    checks.push_back(
        {"nodes", bad, "mend the node, or exclude it (guda submit --sbatch-option --exclude=NODE)", Level::bad});
  for (const std::string& note : verdict.notes) checks.push_back({"nodes", note, "", Level::note});
  const NodeAnswer& first = answers.front();
  if (verdict.bad.empty()) checks.push_back({"guda-worker", first.worker, "", Level::ok});
  if (verdict.bad.empty())
    checks.push_back({"run folder shared",
                      "seen by every node; file locks " + std::string(first.locks == "works" ? "work" : "do not work"),
                      "", Level::ok});
  std::size_t gpus = 0;
  for (const NodeAnswer& a : answers) gpus += a.gpus.size();
  if (gpus > 0) {
    checks.push_back(
        {"gpus", fmt::format("{} in all; {}: {}", gpus, first.host, fmt::join(first.gpus, "; ")), "", Level::ok});
    checks.push_back({"nccl",
                      first.nccl.empty() ? "no libnccl.so.2: gangs and broadcasts use shared memory" : first.nccl, "",
                      first.nccl.empty() ? Level::note : Level::ok});
  } else {
    checks.push_back({"gpus", "none visible: workers run on CPUs", "", Level::ok});
  }
  checks.push_back({"node cache", first.node_cache, "", Level::ok});
  double least = first.free_memory;
  for (const NodeAnswer& a : answers) least = std::min(least, a.free_memory);
  const double needed = 500e6 * launch.nodes.front().workers;
  checks.push_back({"memory",
                    fmt::format("{} free on the node with least; {} workers there need about {} before any job",
                                bytes_text(least), launch.nodes.front().workers, bytes_text(needed)),
                    least < needed ? "fewer --workers, or more memory (guda submit --mem)" : "",
                    least < needed ? Level::note : Level::ok});
}

/// What this cluster does at the end of a walltime and at preemption.
void check_slurm(std::vector<Check>& checks) {
  const auto environment = cluster::process_environment();
  if (find_on_path("scontrol").empty()) {
    if (cluster::in_slurm(environment)) {
      checks.push_back({"slurm",
                        "no scontrol on PATH (inside a container?): jobs can't requeue themselves, job.sbatch prints "
                        "the command instead",
                        "", Level::note});
    }
    return;
  }
  const Captured config = capture({"scontrol", "show", "config"}, 20);
  if (config.exit_code != 0) {
    checks.push_back({"slurm", "slurmctld does not answer: " + config.output.substr(0, 200),
                      "scontrol ping; ask your administrator", Level::note});
    return;
  }
  const auto value = [&](const std::string& key) {
    const std::size_t at = config.output.find("\n" + key);
    if (at == std::string::npos) return std::string();
    const std::size_t equals = config.output.find('=', at);
    const std::string text = config.output.substr(equals + 1, config.output.find('\n', equals) - equals - 1);
    return text.substr(std::min(text.size(), text.find_first_not_of(' ')));
  };
  checks.push_back({"slurm", "version " + value("SLURM_VERSION") + ", cluster " + value("ClusterName"), "", Level::ok});
  const bool preempts = !value("PreemptMode").starts_with("OFF");
  const bool user_signal =
      (value("SlurmctldParameters") + value("PreemptParameters")).find("send_user_signal") != std::string::npos;
  if (!preempts) checks.push_back({"preemption", "off", "", Level::ok});
  else if (user_signal)
    checks.push_back({"preemption", "sends the user signal first: running jobs write a checkpoint and are handed back",
                      "", Level::ok});
  else {
    checks.push_back({"preemption", "ends all processes at once: a preempted job loses up to one checkpoint interval",
                      "administrators: PreemptParameters=send_user_signal", Level::note});
  }
  if (cluster::in_slurm(environment)) {
    const auto end = cluster::slurm_job_end(environment);
    checks.push_back(
        {"walltime",
         end ? "ends in " + duration_text(*end - unix_seconds()) : "no end is known: give --deadline if there is one",
         "", end ? Level::ok : Level::note});
  }
}

jobs::DeviceCalibration calibrate_here(const fs::path& experiment_file, const po::variables_map& values,
                                       const cluster::Topology& topology, std::string& kind) {
  const jobs::Experiment experiment = jobs::load_experiment(experiment_file, {});
  CalibrationRequest request;
  request.experiment = experiment;
  request.worker = executable_folder() / "guda-worker";
  request.seconds = values["seconds"].as<double>();
  request.scratch = fs::temp_directory_path() / fmt::format("guda-calibrate-{}", ::getpid());
  cluster::LaunchRequest launch;
  launch.threads = experiment.resources.threads;
  launch.device = experiment.resources.device;
  launch.per_device = experiment.resources.workers_per_device;
  cluster::Topology here = topology;
  here.nodes.resize(1);
  request.workers = cluster::plan_launch(here, launch).workers;
  kind = device_kind(jobs::numerics_of(experiment), topology.here);
  std::cerr << fmt::format("measuring {} with {} worker{} at once ({})\n", experiment.name, request.workers,
                           request.workers == 1 ? "" : "s", kind);
  request.note = [](const std::string& line) { std::cerr << "  " << line << "\n"; };
  jobs::DeviceCalibration device;
  try {
    device.models[jobs::model_key(experiment.model)] = calibrate(request);
  } catch (...) {
    fs::remove_all(request.scratch);
    throw;
  }
  fs::remove_all(request.scratch);
  device.measured_at = time_of_measurement();
  device.workers = request.workers;
  if (!topology.here.empty()) device.device_memory = topology.here.front().memory;
  return device;
}

}  // namespace

int doctor_command(const Arguments& arguments) {
  po::options_description options("options");
  options.add_options()("json", "print as JSON")("run-dir", po::value<std::string>()->default_value("."),
                                                 "folder in which runs will be made")(
      "hostfile", po::value<std::string>(), "ask these hosts instead of this machine or allocation")(
      "mpi-args", po::value<std::string>()->default_value(""), "more arguments for mpirun, separated by blanks")(
      "calibrate", "also measure what jobs take on this node, for guda plan and guda submit")(
      "experiment", po::value<std::string>(), "whose model to measure [the shipped digits recipe]")(
      "seconds", po::value<double>()->default_value(2), "aimed at for each measured kind of job");
  // Asked by another doctor through mpirun: one line, no table.
  if (arguments.size() == 4 && arguments[0] == "--answer" && arguments[2] == "--run-dir") {
    std::cout << encode_answer(probe_node(arguments[3], arguments[1])) << std::flush;
    return kDone;
  }
  const auto values = parse(
      {"guda doctor [options]",
       "Is this machine or allocation ready? One line a check, with its cure. Exit code 0 only when a run would start.",
       "  guda doctor\n  guda doctor --run-dir /scratch/me\n  guda doctor --calibrate --experiment my.yaml\n  srun "
       "--pty bash, then guda doctor: asks every node of the allocation\n"},
      options, {}, arguments);
  if (!values) return kDone;
  const fs::path folder = fs::absolute((*values)["run-dir"].as<std::string>()).lexically_normal();
  const auto programs = executable_folder();
  std::vector<Check> checks;
  checks.push_back({"guda", fmt::format("{} ({})", kGudaVersion, kGudaCommit), "", Level::ok});
  checks.push_back(check("mpirun", "install Open MPI 4 (Debian: openmpi-bin) or load its module", [&] {
    const auto program = cluster::find_mpirun();
    return program.string() + ": " + first_line_of({program.string(), "--version"}, 30);
  }));
  for (const char* program : {"guda-coordinator", "guda-agent", "guda-worker"}) {
    if (!fs::exists(programs / program)) {
      checks.push_back(
          {program, "not found beside guda in " + programs.string(),
           std::string(program) == "guda-worker" ? "build it with LibTorch: ./run build" : "build it: ./run build",
           Level::bad});
    }
  }
  checks.push_back({"cpu", fmt::format("{} usable cores, {}", usable_cores(), cpu_isa()), "", Level::ok});
  checks.push_back(check("data", "set GUDA_DATA_DIR to the folder that holds digits/", [&] {
    const jobs::Dataset digits = jobs::load_dataset({});
    return fmt::format("digits: {} images, content {}", digits.labels.size(), digits.content.brief());
  }));
  checks.push_back(check("run folder", "choose a folder that you may write, with room: --run-dir", [&] {
    const auto probe = folder / ".guda-doctor";
    replace_file(probe, "probe", true);
    fs::remove(probe);
    const auto space = fs::space(folder);
    if (space.available < 200'000'000)
      throw Error(fmt::format("only {:.0f} MB free in {}", double(space.available) / 1e6, folder.string()));
    return fmt::format("{}: writable, {:.1f} GB free", folder.string(), double(space.available) / 1e9);
  }));
  std::optional<cluster::Topology> topology;
  checks.push_back(check("allocation", "see the message", [&] {
    topology = cluster::discover(values->contains("hostfile") ? (*values)["hostfile"].as<std::string>() : "");
    cluster::LaunchRequest request;
    request.mpi_arguments = (*values)["mpi-args"].as<std::string>();
    return cluster::describe(cluster::plan_launch(*topology, request));
  }));
  bool ready = std::none_of(checks.begin(), checks.end(), [](const Check& c) { return c.level == Level::bad; });
  if (ready) {
    cluster::LaunchRequest request;
    request.mpi_arguments = (*values)["mpi-args"].as<std::string>();
    check_nodes(folder, cluster::plan_launch(*topology, request), checks);
  }
  check_slurm(checks);
  ready = std::none_of(checks.begin(), checks.end(), [](const Check& c) { return c.level == Level::bad; });
  const fs::path calibration = calibration_path();
  if (values->contains("calibrate") && ready) {
    checks.push_back(check("calibration", "guda-worker must run here: see the message", [&] {
      const fs::path recipes =
          jobs::find_data_file("digits/digits.csv.gz").parent_path().parent_path().parent_path() / "recipes";
      const fs::path experiment = values->contains("experiment") ? fs::path((*values)["experiment"].as<std::string>())
                                                                 : recipes / "digits.yaml";
      std::string kind;
      const auto measured = calibrate_here(experiment, *values, *topology, kind);
      store_calibration(calibration, kind, measured);
      return fmt::format("{}: written to {}", kind, calibration.string());
    }));
  } else {
    checks.push_back(check("calibration", "delete the file, then guda doctor --calibrate", [&] {
      const auto known = load_calibration(calibration);
      std::vector<std::string> kinds;
      for (const auto& [kind, device] : known) kinds.push_back(fmt::format("{} ({})", kind, device.measured_at));
      return kinds.empty() ? std::string("none yet: guda plan assumes a rate; guda doctor --calibrate measures")
                           : fmt::format("{}", fmt::join(kinds, "; "));
    }));
  }
  ready = std::none_of(checks.begin(), checks.end(), [](const Check& c) { return c.level == Level::bad; });
  const auto name_of = [](Level level) { return level == Level::ok ? "ok" : level == Level::note ? "note" : "BAD"; };
  if (values->contains("json")) {
    Json list = Json::array();
    for (const Check& c : checks)
      list.push_back({{"check", c.name},
                      {"ok", c.level != Level::bad},
                      {"level", name_of(c.level)},
                      {"finding", c.finding},
                      {"cure", c.cure}});
    std::cout << Json{{"ready", ready}, {"checks", list}}.dump(2) << "\n";
  } else {
    for (const Check& c : checks) {
      std::cout << fmt::format("{:<4} {:<17} {}\n", name_of(c.level), c.name, c.finding);
      if (!c.cure.empty()) std::cout << fmt::format("     {:<17} cure: {}\n", "", c.cure);
    }
    std::cout << (ready ? "ready: a run would start here\n" : "not ready\n");
  }
  return ready ? kDone : kBadInput;
}

}  // namespace guda::cli
