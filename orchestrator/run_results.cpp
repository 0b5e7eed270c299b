#include "orchestrator/run_results.hpp"

#include <limits>
#include <set>
#include <unordered_map>

#include "common/files.hpp"
#include "jobs/methods/methods.hpp"
#include "orchestrator/group_scores.hpp"
#include "orchestrator/report/report.hpp"
#include "orchestrator/report_source.hpp"

namespace guda::orchestrator {

std::map<Digest, std::string> job_owners(const jobs::Plan& plan) {
  // Who needs a job: everybody whose rows it fills, and everybody who reads what it leaves.
  std::unordered_map<Digest, std::set<std::string>> users;
  std::map<Digest, std::string> owners;
  for (auto job = plan.jobs.rbegin(); job != plan.jobs.rend(); ++job) {
    auto& mine = users[job->digest];
    for (const jobs::Placement& p : job->placements)
      mine.insert(p.method.starts_with("full__") ? p.method.substr(6) : p.method);
    // Previews illustrate whoever made their weights; they are nobody's need.
    if (const auto* sample = std::get_if<jobs::SampleSpec>(&job->work); sample && sample->set.name == jobs::kPreviewSet)
      continue;
    owners[job->digest] = mine.size() == 1 ? *mine.begin() : "full";
    for (const Digest& input : job->inputs) users[input].insert(mine.begin(), mine.end());
  }
  return owners;
}

std::map<std::string, MethodCost> method_costs(const jobs::Plan& plan, const std::map<Digest, Commit>& commits) {
  std::map<std::string, MethodCost> costs;
  for (const jobs::MethodConfig& method : plan.experiment.methods) costs[method.name];
  const auto owners = job_owners(plan);
  for (const jobs::JobSpec& job : plan.jobs) {
    const auto owner = owners.find(job.digest);  // previews have none
    const auto commit = commits.find(job.digest);
    if (owner == owners.end() || owner->second == "full" || commit == commits.end()) continue;
    costs[owner->second].device_seconds += commit->second.seconds * jobs::gang_of(job.work);
    ++costs[owner->second].jobs;
  }
  return costs;
}

Comparison compare_run(const RunLayout& run, const jobs::Plan& plan,
                       const std::map<std::string, RecordedScores>& recorded) {
  std::map<std::string, MethodFacts> facts;
  const auto costs = method_costs(plan, commits_of(read_journal(run.journal())));
  for (const jobs::MethodConfig& method : plan.experiment.methods) {
    const bool released = method.method == "guda" && method.unlearn.op == "retrack_released";
    facts[method.name] = {costs.at(method.name).device_seconds,
                          released ? "released-code parity" : std::string(jobs::method_named(method.method).fidelity)};
  }
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
