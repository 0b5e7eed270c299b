#include "orchestrator/run_results.hpp"

#include <algorithm>
#include <limits>
#include <set>
#include <unordered_map>

#include "common/files.hpp"
#include "jobs/evaluation.hpp"
#include "jobs/methods/methods.hpp"
#include "orchestrator/group_scores.hpp"
#include "orchestrator/race_outcome.hpp"
#include "orchestrator/report/report.hpp"
#include "orchestrator/report_source.hpp"

namespace guda::orchestrator {

std::map<Digest, std::set<std::string>> charged_methods(const jobs::Plan& plan) {
  // Who needs a job: everybody whose rows it fills, and everybody who reads what it leaves.
  std::unordered_map<Digest, std::set<std::string>> users;
  std::map<Digest, std::set<std::string>> charged;
  for (auto job = plan.jobs.rbegin(); job != plan.jobs.rend(); ++job) {
    auto& mine = users[job->digest];
    for (const jobs::Placement& p : job->placements) {
      if (jobs::is_subset_rows(p.method)) mine.insert(kEvaluationOwner);
      else mine.insert(p.method.starts_with("full__") ? p.method.substr(6) : p.method);
    }
    const auto* sample = std::get_if<jobs::SampleSpec>(&job->work);
    // Previews illustrate whoever made their weights; they are nobody's need.
    if (sample && sample->set.name == jobs::kPreviewSet) continue;
    if (sample && sample->set.name == jobs::kRegeneratedSet) mine.insert(kEvaluationOwner);
    charged[job->digest] = mine.empty() || mine.contains("full") ? std::set<std::string>{"full"} : mine;
    // What a method does is its own cost, whoever looks at what came of it.
    if (const auto* train = std::get_if<jobs::TrainSpec>(&job->work); train && !train->top.empty()) continue;
    for (const Digest& input : job->inputs) users[input].insert(mine.begin(), mine.end());
  }
  return charged;
}

double device_seconds(const jobs::JobSpec& job, const Commit& commit, const jobs::Numerics& numerics) {
  const auto processor = commit.metrics.find("processor_seconds");
  const bool measured = numerics.device == "cpu" && processor != commit.metrics.end();
  const double of_one = measured ? processor->get<double>() / std::max(1U, numerics.threads) : commit.seconds;
  return of_one * jobs::gang_of(job.work);
}

std::map<std::string, MethodCost> method_costs(const jobs::Plan& plan, const std::map<Digest, Commit>& commits) {
  std::map<std::string, MethodCost> costs;
  for (const jobs::MethodConfig& method : plan.experiment.methods) costs[method.name];
  const auto charged = charged_methods(plan);
  for (const jobs::JobSpec& job : plan.jobs) {
    const auto methods = charged.find(job.digest);  // previews have none
    const auto commit = commits.find(job.digest);
    if (methods == charged.end() || methods->second.contains("full") || commit == commits.end()) continue;
    for (const std::string& method : methods->second) {
      costs[method].device_seconds += device_seconds(job, commit->second, plan.numerics);
      ++costs[method].jobs;
    }
  }
  return costs;
}

Evaluation evaluate_run(const RunLayout& run, const jobs::Plan& plan) {
  Evaluation evaluation;
  evaluation.datamodel = datamodel_scores(read_results(run.results()), plan);
  const auto folders = artifact_folders(run);
  evaluation.removal = removal_effects(folders, plan, evaluation.missing);
  evaluation.self_influence = self_influences(folders, plan, evaluation.missing);
  return evaluation;
}

Comparison compare_run(const RunLayout& run, const jobs::Plan& plan,
                       const std::map<std::string, RecordedScores>& recorded) {
  std::map<std::string, MethodFacts> facts;
  const auto costs = method_costs(plan, commits_of(read_journal(run.journal())));
  for (const jobs::MethodConfig& method : plan.experiment.methods)
    facts[method.name] = {costs.at(method.name).device_seconds, std::string(jobs::fidelity_of(method))};
  ResultsTable table = read_results(run.results());
  jobs::Plan all = plan;
  for (const auto& [name, scores] : recorded) {
    add_recorded(all, table, name, scores);
    facts[name] = {std::numeric_limits<double>::quiet_NaN(), "recorded scores"};
  }
  return compare(table, all, facts);
}

void finalize_run(const RunLayout& run, const jobs::Plan& plan) {
  {
    ResultsFile file = ResultsFile::open(run.results());
    const ResultsTable table = read_results(run.results());
    write_main_scores(file, table, plan);
    write_race_outcomes(file, table, plan);
    file.flush();
  }
  write_report(run, plan);
}

std::filesystem::path write_report(const RunLayout& run, const jobs::Plan& plan) {
  replace_file(run.report(), report::render_report(report_data(run, plan)), false);
  return run.report();
}

}  // namespace guda::orchestrator
