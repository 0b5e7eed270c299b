#include "orchestrator/run_results.hpp"

#include <algorithm>
#include <set>
#include <unordered_map>

#include "common/files.hpp"
#include "jobs/methods/methods.hpp"
#include "orchestrator/group_scores.hpp"
#include "orchestrator/report/report.hpp"
#include "orchestrator/report_source.hpp"

namespace guda::orchestrator {

std::map<Digest, std::set<std::string>> charged_methods(const jobs::Plan& plan) {
  // Who needs a job: everybody whose rows it fills, and everybody who reads what it leaves.
  std::unordered_map<Digest, std::set<std::string>> users;
  std::map<Digest, std::set<std::string>> charged;
  for (auto job = plan.jobs.rbegin(); job != plan.jobs.rend(); ++job) {
    auto& mine = users[job->digest];
    for (const jobs::Placement& p : job->placements)
      mine.insert(p.method.starts_with("full__") ? p.method.substr(6) : p.method);
    // Previews illustrate whoever made their weights; they are nobody's need.
    if (const auto* sample = std::get_if<jobs::SampleSpec>(&job->work); sample && sample->set.name == jobs::kPreviewSet)
      continue;
    charged[job->digest] = mine.empty() || mine.contains("full") ? std::set<std::string>{"full"} : mine;
    for (const Digest& input : job->inputs) users[input].insert(mine.begin(), mine.end());
  }
  return charged;
}

double device_seconds(const Commit& commit, const jobs::Numerics& numerics) {
  const auto processor = commit.metrics.find("processor_seconds");
  if (numerics.device != "cpu" || processor == commit.metrics.end()) return commit.seconds;
  return processor->get<double>() / std::max(1U, numerics.threads);
}

std::map<std::string, MethodCost> method_costs(const jobs::Plan& plan, const std::map<Digest, Commit>& commits) {
  std::map<std::string, MethodCost> costs;
  for (const jobs::MethodConfig& method : plan.experiment.methods) costs[method.name];
  for (const auto& [digest, methods] : charged_methods(plan)) {
    const auto commit = commits.find(digest);
    if (methods.contains("full") || commit == commits.end()) continue;
    for (const std::string& method : methods) {
      costs[method].device_seconds += device_seconds(commit->second, plan.numerics);
      ++costs[method].jobs;
    }
  }
  return costs;
}

Comparison compare_run(const RunLayout& run, const jobs::Plan& plan) {
  std::map<std::string, MethodFacts> facts;
  const auto costs = method_costs(plan, commits_of(read_journal(run.journal())));
  for (const jobs::MethodConfig& method : plan.experiment.methods)
    facts[method.name] = {costs.at(method.name).device_seconds, std::string(jobs::fidelity_of(method))};
  return compare(read_results(run.results()), plan, facts);
}

void finalize_run(const RunLayout& run, const jobs::Plan& plan) {
  {
    ResultsFile file = ResultsFile::open(run.results());
    write_main_scores(file, read_results(run.results()), plan);
    file.flush();
  }
  write_report(run, plan);
}

std::filesystem::path write_report(const RunLayout& run, const jobs::Plan& plan) {
  replace_file(run.report(), report::render_report(report_data(run, plan)), false);
  return run.report();
}

}  // namespace guda::orchestrator
