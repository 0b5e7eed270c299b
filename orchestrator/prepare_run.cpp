#include "orchestrator/prepare_run.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <set>

#include "common/error.hpp"
#include "common/files.hpp"
#include "jobs/experiment_diff.hpp"
#include "jobs/experiment_file.hpp"
#include "jobs/experiment_json.hpp"
#include "jobs/job_identity.hpp"
#include "jobs/planner.hpp"
#include "orchestrator/run_store.hpp"

namespace guda::orchestrator {
namespace fs = std::filesystem;

namespace {

std::string indented(const std::vector<std::string>& lines, std::size_t most) {
  std::string text;
  for (std::size_t i = 0; i < std::min(lines.size(), most); ++i) text += "\n  " + lines[i];
  if (lines.size() > most) text += fmt::format("\n  ... and {} more", lines.size() - most);
  return text;
}

Json numerics_json(const jobs::Numerics& n) {
  Json json{
      {"device", n.device}, {"isa", n.isa}, {"dtype", n.dtype}, {"threads", n.threads}, {"micro_batch", n.micro_batch}};
  if (n.deterministic) json["deterministic"] = true;
  return json;
}

constexpr const char* kNotMixed =
    "other numbers, if only by rounding, and the two are not mixed.\n"
    "Cure: go on with that version; another --run-dir computes all of it anew.";

bool has_open_jobs(const RunLayout& run, const jobs::Plan& plan) {
  const auto settled = settled_jobs(plan, commits_of(read_journal(run.journal())), artifact_folders(run));
  return std::find(settled.begin(), settled.end(), false) != settled.end();
}

}  // namespace

PlannedExperiment plan_experiment(const fs::path& file, const std::vector<std::string>& overrides,
                                  bool data_may_be_missing) {
  if (fs::is_directory(file)) {
    if (!overrides.empty())
      throw Error("--set needs the experiment file; " + file.string() +
                  " is a run directory, which is resumed as it was planned");
    return {load_plan(RunLayout{file}), ""};
  }
  const jobs::Experiment experiment = jobs::load_experiment(file, overrides, data_may_be_missing);
  const auto& data = experiment.dataset;
  const bool read = !data_may_be_missing || !jobs::has_published_counts(data.kind) || fs::exists(data.path);
  const jobs::Dataset dataset = read ? jobs::load_dataset(data) : jobs::published_dataset(data);
  std::string text = read_file(file);
  for (const std::string& o : overrides) text += "\n# --set " + o;
  if (!overrides.empty()) text += "\n";
  return {jobs::make_plan(experiment, dataset, jobs::numerics_of(experiment), data_may_be_missing), std::move(text),
          read, dataset.skipped};
}

PlanChange compare_plans(const RunLayout& run, const jobs::Plan& before, const jobs::Plan& after) {
  PlanChange change;
  change.keys = jobs::experiment_diff(Json(before.experiment), Json(after.experiment));
  for (const std::string& line : jobs::experiment_diff(numerics_json(before.numerics), numerics_json(after.numerics))) {
    change.keys.push_back("numerics." + line);
  }
  if (before.dataset != after.dataset) change.keys.push_back("contents of the data set");
  if (change.keys.empty() && (before.groups != after.groups || before.group_removals != after.group_removals))
    change.keys.push_back("members of the groups");  // a manifest's; else it follows from what changed above
  std::set<Digest> old_jobs, new_jobs;
  for (const auto& job : before.jobs) old_jobs.insert(job.digest);
  for (const auto& job : after.jobs) {
    new_jobs.insert(job.digest);
    if (!old_jobs.contains(job.digest)) {
      change.added.push_back(job.label);
      change.added_cost += job.cost * jobs::gang_of(job.work);
    }
  }
  const auto commits = commits_of(read_journal(run.journal()));
  const std::vector<bool> settled = settled_jobs(after, commits, artifact_folders(run));
  for (std::size_t i = 0; i < after.jobs.size(); ++i) {
    const jobs::JobSpec& job = after.jobs[i];
    if (settled[i] || !old_jobs.contains(job.digest) || !commits.contains(job.digest)) continue;
    change.remade.push_back(job.label);
    change.added_cost += job.cost * jobs::gang_of(job.work);
  }
  for (const auto& job : before.jobs) {
    if (!new_jobs.contains(job.digest) && commits.contains(job.digest)) change.dropped.push_back(job.label);
  }
  return change;
}

void make_run_folders(const RunLayout& run) {
  if (!fs::exists(run.folder)) {
    make_directories(run.folder.parent_path().empty() ? "." : run.folder.parent_path());
    if (::mkdir(run.folder.c_str(), 0700) != 0 && !fs::exists(run.folder)) {
      throw IoError(errno_text("cannot create", run.folder, errno));
    }
  }
  for (const auto& folder : {run.journal(), run.artifacts(), run.rows(), run.control(), run.logs()})
    make_directories(folder);
}

jobs::Plan load_plan(const RunLayout& run) {
  if (!fs::exists(run.plan())) {
    throw Error(run.folder.string() +
                " is no run directory (no plan.json). Cure: name the directory that guda run made, e.g. runs/digits.");
  }
  try {
    return jobs::plan_from_json(Json::parse(read_file(run.plan())));
  } catch (const Json::exception& e) {
    throw Error(fmt::format(
        "{} is damaged ({}). Cure: remove it and type the same guda run command; finished work is in the journal.",
        run.plan().string(), e.what()));
  }
}

PlanChange install_plan(const RunLayout& run, const PlannedExperiment& planned, bool extend) {
  PlanChange added;
  if (fs::exists(run.plan())) {
    const jobs::Plan before = load_plan(run);
    PlanChange change = compare_plans(run, before, planned.plan);
    if (!change.dropped.empty() && !jobs::of_this_version(before)) {
      throw Error(fmt::format("{} holds {} finished jobs of another version of guda; this one computes {}",
                              run.folder.string(), change.dropped.size(), kNotMixed));
    }
    if (!jobs::of_this_version(planned.plan) && has_open_jobs(run, planned.plan)) {
      throw Error(
          fmt::format("{} was planned by another version of guda; for what is not finished this one computes {}",
                      run.folder.string(), kNotMixed));
    }
    if (!change.dropped.empty()) {
      throw Error(fmt::format(
          "{} holds {} finished jobs that this experiment would drop or alter. Changed keys:{}\nfor example:{}\n"
          "Cure: another --run-dir, or undo the change.",
          run.folder.string(), change.dropped.size(), indented(change.keys, 20), indented(change.dropped, 3)));
    }
    const bool started = !read_journal(run.journal()).records.empty();
    if (started && !change.added.empty() && !extend) {
      throw Error(fmt::format(
          "this experiment adds {} jobs (about {:.0f} device-seconds) to {}. Changed keys:{}\nAdded, for example:{}\n"
          "Cure: --extend adds them; another --run-dir starts afresh.",
          change.added.size(), change.added_cost, run.folder.string(), indented(change.keys, 20),
          indented(change.added, 5)));
    }
    if (started) added = std::move(change);
  }
  make_run_folders(run);
  replace_file(run.plan(), jobs::to_json(planned.plan).dump(), true);
  if (!planned.text.empty()) replace_file(run.experiment(), planned.text, true);
  return added;
}

std::string describe_extension(const PlanChange& change) {
  const std::string again = change.remade.empty()
                                ? ""
                                : fmt::format(" and {} made again (retention.keep dropped them)", change.remade.size());
  return fmt::format("extended: {} job{} added{}, about {:.0f} device-seconds. Changed keys:{}\nAdded, for example:{}",
                     change.added.size(), change.added.size() == 1 ? "" : "s", again, change.added_cost,
                     indented(change.keys, 20), indented(change.added, 5));
}

}  // namespace guda::orchestrator
