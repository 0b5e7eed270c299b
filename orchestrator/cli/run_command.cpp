#include <fmt/format.h>

#include <ctime>
#include <filesystem>

#include "common/cpu.hpp"
#include "orchestrator/cli/command_line.hpp"
#include "orchestrator/cli/commands.hpp"
#include "orchestrator/cli/print_comparison.hpp"
#include "orchestrator/cli/run_options.hpp"
#include "orchestrator/instruction_set.hpp"
#include "orchestrator/micro_batch.hpp"
#include "orchestrator/prepare_run.hpp"
#include "orchestrator/retention.hpp"
#include "orchestrator/reuse.hpp"
#include "orchestrator/run_results.hpp"
#include "orchestrator/run_store.hpp"
#include "orchestrator/stages.hpp"

namespace guda::cli {
namespace po = boost::program_options;
using namespace guda::orchestrator;

int run_command(const Arguments& arguments) {
  po::options_description options("options");
  options.add_options()("run-dir", po::value<std::string>(), "run directory [runs/<name of the experiment>]")(
      "set", po::value<std::vector<std::string>>()->composing(), "override a key: training.steps=100 (repeatable)")(
      "extend", "allow an edited experiment to add jobs to an existing run directory")(
      "json", "print the comparison as JSON at the end");
  add_supervision_options(options);
  add_deadline_options(options);
  const auto values =
      parse({"guda run EXPERIMENT [options]",
             "Runs an experiment file, or resumes it: type the same command again after a stop, a crash or an edit.\n"
             "EXPERIMENT may also be a run directory, which is resumed as it was planned.",
             "  guda run jobs/recipes/digits.yaml\n  guda run my.yaml --workers 4 --run-dir /scratch/me/sweep\n"
             "  guda run my.yaml --set training.steps=100 --set seeds=[0,1]\n"},
            options, {"experiment"}, arguments);
  if (!values) return kDone;
  exit_on_stop_signals();
  const std::filesystem::path file = (*values)["experiment"].as<std::string>();
  const auto overrides =
      values->contains("set") ? (*values)["set"].as<std::vector<std::string>>() : std::vector<std::string>{};
  PlannedExperiment planned = plan_experiment(file, overrides);
  std::filesystem::path folder = std::filesystem::path("runs") / planned.plan.experiment.name;
  if (values->contains("run-dir")) folder = (*values)["run-dir"].as<std::string>();
  else if (std::filesystem::is_directory(file)) folder = file;
  const RunLayout run{std::filesystem::absolute(folder).lexically_normal()};

  planned.plan = plan_so_far(run, plan_for_isa(run, std::move(planned.plan), cpu_isa()));
  static_cast<void>(reused_folders(planned.plan));  // a wrong path is said before anything is made
  make_run_folders(run);
  RunLock lock(run.lock());
  const PlanChange change = install_plan(run, planned, values->contains("extend"));
  const Reused reused = link_reused(run, planned.plan);
  SupervisorConfig config = supervision_from(*values, planned.plan);
  Progress progress(stderr);
  for (const std::string& picture : planned.skipped) progress.note("left out: " + picture);
  if (!change.added.empty()) progress.note(describe_extension(change));
  if (config.life.deadline > 0) {
    progress.note(fmt::format("deadline: in {}; jobs are asked to hand themselves back {} before",
                              duration_text(config.life.deadline - double(std::time(nullptr))),
                              duration_text(config.life.deadline - config.stop_at)));
  }
  progress.note(fmt::format("{}: {} jobs in {}\n{}", planned.plan.experiment.name, planned.plan.jobs.size(),
                            run.folder.string(), cluster::describe(config.launch)));
  if (!lock.note().empty()) progress.note(lock.note());
  if (reused.artifacts > 0) {
    progress.note(fmt::format("reuse: {} verified artifacts of other runs, about {} of device-time saved",
                              reused.artifacts, duration_text(reused.device_seconds)));
  }
  for (const std::string& rejected : reused.rejected)
    progress.note("reuse: damaged and therefore computed here: " + rejected);
  const double patience = config.life.visible_within;
  const auto note = [&](const std::string& text) { progress.note(text); };
  enter_next_stages(run, planned, patience, note);
  const auto supervised = [&] {
    config.more_follows = jobs::awaits_next_stage(planned.plan);
    return supervise(run, lock, config, progress);
  };
  int code = supervised();
  while (code == kDone || code == kQuarantined) {
    auto smaller = code == kQuarantined ? plan_with_half_the_rows(run, planned.plan) : std::nullopt;
    if (smaller) {
      planned.plan = std::move(*smaller);
      progress.note(fmt::format("memory ran out and no model is finished: all of them are made with {} rows at once",
                                planned.plan.numerics.micro_batch));
      static_cast<void>(install_plan(run, planned, /*extend=*/true));
    } else if (!enter_next_stages(run, planned, patience, note)) {
      break;
    }
    code = supervised();
  }
  if (code != kDone && code != kQuarantined) {
    progress.note("the same command goes on from here: guda run " + file.string());
    return code;
  }
  if (jobs::awaits_pilot(planned.plan)) {
    progress.note(
        "the pilot is not complete, so no slots could be chosen and nothing was scored. The reasons: guda "
        "status " +
        run.folder.string());
    return code == kDone ? kStoppedEarly : code;
  }
  if (jobs::awaits_next_stage(planned.plan)) {
    progress.note("a round of the race is not complete, so it did not go on. The reasons: guda status " +
                  run.folder.string());
    if (code == kDone) return kStoppedEarly;
  }
  finalize_run(run, planned.plan);
  if (code == kDone) {
    const auto settled = settled_jobs(planned.plan, commits_of(read_journal(run.journal())), artifact_folders(run));
    if (const Freed freed = apply_retention(run, planned.plan, settled); freed.artifacts > 0) {
      progress.note(fmt::format("retention keeps {}: {} artifacts dropped, {:.1f} MB freed",
                                planned.plan.experiment.retention.keep, freed.artifacts, double(freed.bytes) / 1e6));
    }
  }
  print_comparison(compare_run(run, planned.plan), {.json = values->contains("json")});
  progress.note("results " + run.results().string() + "\nreport  " + run.report().string());
  return code;
}

}  // namespace guda::cli
