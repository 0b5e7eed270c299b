#include <fmt/chrono.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <ctime>
#include <iostream>

#include "orchestrator/cli/command_line.hpp"
#include "orchestrator/cli/commands.hpp"
#include "orchestrator/cli/estimate_options.hpp"
#include "orchestrator/job_story.hpp"
#include "orchestrator/prepare_run.hpp"
#include "orchestrator/progress.hpp"
#include "orchestrator/run_store.hpp"
#include "orchestrator/run_view.hpp"

namespace guda::cli {
namespace po = boost::program_options;
using namespace guda::orchestrator;

namespace {

constexpr std::size_t kLogLines = 8, kMostNames = 12;

std::string clock_text(double time) {
  if (time <= 0) return "?";
  const auto seconds = static_cast<std::time_t>(time);
  std::tm local{};
  ::localtime_r(&seconds, &local);
  return fmt::format("{:%m-%d %H:%M:%S}", local);
}

/// "rank 3 (node/gpu0)" -> logs/rank-3.log.
std::filesystem::path log_of(const RunLayout& run, const AttemptStory& attempt) {
  const std::string number =
      attempt.worker.starts_with("rank ") ? attempt.worker.substr(5, attempt.worker.find(' ', 5) - 5) : "";
  return run.logs() / ("rank-" + number + ".log");
}

/// The log of the worker of the last attempt that failed.
std::pair<std::filesystem::path, std::vector<std::string>> log_lines(const RunLayout& run, const JobStory& story) {
  for (auto attempt = story.attempts.rbegin(); attempt != story.attempts.rend(); ++attempt) {
    if (attempt->outcome != "failed") continue;
    const auto file = log_of(run, *attempt);
    return {file, last_lines(file, kLogLines)};
  }
  return {};
}

void print(const RunLayout& run, const JobStory& story) {
  std::cout << fmt::format("{}  {}\n  {}: {}\n", story.digest.substr(0, 10), story.label, story.state, story.why);
  std::cout << fmt::format(
      "  predicted {}{}{}{}, read by {} jobs\n", duration_text(story.predicted_seconds),
      story.seconds > 0 ? ", took " + duration_text(story.seconds) : "",
      story.peak_memory > 0 ? " and at most " + bytes_text(double(story.peak_memory)) + " of memory" : "",
      story.peak_device > 0 ? ", " + bytes_text(double(story.peak_device)) + " of its device's" : "",
      story.users.size());
  for (const AttemptStory& a : story.attempts) {
    std::cout << fmt::format(
        "  life {} attempt {} on {}{}{}: {}{}{}{}{}\n", a.epoch, a.attempt, a.worker.empty() ? "?" : a.worker,
        a.node.empty() ? "" : " of node " + a.node,
        a.members.empty() ? "" : fmt::format(", of the gang {}", fmt::join(a.members, ", ")), a.outcome,
        a.cause.empty() ? "" : " (" + a.cause + ")", a.text.empty() ? "" : ": " + a.text,
        a.quarantined ? "; given up" : "",
        a.started > 0 || a.ended > 0 ? fmt::format("  [{} - {}]", clock_text(a.started), clock_text(a.ended)) : "");
  }
  const auto [file, lines] = log_lines(run, story);
  if (!lines.empty()) std::cout << "  last lines of " << file.string() << ":\n";
  for (const std::string& line : lines) std::cout << "    " << line << "\n";
}

}  // namespace

int explain_command(const Arguments& arguments) {
  po::options_description options("options");
  options.add_options()("json", "print as JSON");
  const auto values = parse(
      {"guda explain RUN JOB [--json]",
       "Why does a job wait, why did it fail: every attempt with worker, device, node, cause and log lines.\n"
       "JOB is a digest or its beginning, a label or a part of one. Exit: 0, or 2 when no job or no run is meant.",
       "  guda explain runs/digits 3fa09c21\n  guda explain runs/digits \"unlearn retrack_exact -7 (seed 0)\" "
       "--json\n"},
      options, {"run", "job"}, arguments);
  if (!values) return kDone;
  const RunLayout run{(*values)["run"].as<std::string>()};
  const std::string name = (*values)["job"].as<std::string>();
  const jobs::Plan plan = load_plan(run);
  const auto found = find_jobs(plan, name);
  if (found.empty())
    throw Error("no job is called '" + name + "'. Cure: guda plan " + run.folder.string() +
                " --jobs lists them with their digests.");
  const JournalContent journal = read_journal(run.journal(), MissingLives::report);
  const auto owner = read_lock(run.lock());
  const RunFacts facts{journal, settled_jobs(plan, commits_of(journal), artifact_folders(run)),
                       read_status(run.status()), owner && owner_alive(*owner)};
  if (found.size() > kMostNames) {
    std::string names;
    const auto states = job_states(plan, facts);
    for (std::size_t i = 0; i < kMostNames; ++i) {
      names += fmt::format("\n  {}  {:<11} {}", plan.jobs[found[i]].digest.brief(), states[found[i]],
                           plan.jobs[found[i]].label);
    }
    throw Error(fmt::format("'{}' means {} jobs, for example:{}\nCure: more of the label, or a digest.", name,
                            found.size(), names));
  }
  Json out = Json::array();
  for (const std::size_t job : found) {
    const JobStory story = tell_job(plan, facts, job);
    if (!values->contains("json")) {
      print(run, story);
      continue;
    }
    Json entry(story);
    const auto [file, lines] = log_lines(run, story);
    entry["log"] = {{"file", file.string()}, {"lines", lines}};
    out.push_back(std::move(entry));
  }
  if (values->contains("json")) std::cout << Json{{"schema", 1}, {"jobs", out}}.dump(2) << "\n";
  return kDone;
}

}  // namespace guda::cli
