#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <thread>

#include "orchestrator/cli/command_line.hpp"
#include "orchestrator/cli/commands.hpp"
#include "orchestrator/control.hpp"
#include "orchestrator/job_story.hpp"
#include "orchestrator/prepare_run.hpp"
#include "orchestrator/retry.hpp"
#include "orchestrator/run_lock.hpp"

namespace guda::cli {
namespace po = boost::program_options;
using namespace guda::orchestrator;

namespace {

/// Whether the coordinator has taken the request within a few seconds.
bool wait_until_taken(const std::filesystem::path& file) {
  for (int i = 0; i < 100; ++i) {
    if (!std::filesystem::exists(file)) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  return false;
}

}  // namespace

int retry_command(const Arguments& arguments) {
  po::options_description options("options");
  options.add_options()("job", po::value<std::vector<std::string>>()->composing(),
                        "a digest, a label or a part of one (repeatable) [every job that was given up]")(
      "unfence", po::value<std::vector<std::string>>()->composing(),
      "a device or node that gets work again (repeatable)")("json", "print as JSON");
  const auto values = parse(
      {"guda retry RUN [--job J]... [--unfence D]... [--json]",
       "Gives jobs that were given up another chance, and devices that were fenced: in the run that is at work, or in\n"
       "the next one. Exit: 0 noted, 75 the run at work has not taken the request yet, 2 nothing of that name.",
       "  guda retry runs/digits\n  guda retry runs/digits --job \"unlearn ifu -7 (seed 0)\"\n  guda retry runs/digits "
       "--unfence node3/gpu1\n"},
      options, {"run"}, arguments);
  if (!values) return kDone;
  const RunLayout run{(*values)["run"].as<std::string>()};
  const jobs::Plan plan = load_plan(run);
  ControlRequest request;
  request.kind = ControlRequest::Kind::retry;
  request.by = who_am_i();
  std::vector<std::string> labels;
  const auto given_up = quarantined_jobs(plan, read_journal(run.journal(), MissingLives::report));
  const auto add = [&](std::size_t job) {
    request.jobs.push_back(plan.jobs[job].digest);
    labels.push_back(plan.jobs[job].label);
  };
  if (values->contains("job")) {
    for (const std::string& name : (*values)["job"].as<std::vector<std::string>>()) {
      const auto found = find_jobs(plan, name);
      const auto before = request.jobs.size();
      for (const std::size_t job : found) {
        if (given_up[job]) add(job);
      }
      if (request.jobs.size() == before) {
        throw Error(found.empty() ? "no job is called '" + name + "'. Cure: guda plan " + run.folder.string() +
                                        " --jobs lists them."
                                  : "'" + name + "' was not given up. Cure: guda explain " + run.folder.string() +
                                        " \"" + name + "\" says what it does.");
      }
    }
  } else if (!values->contains("unfence")) {
    for (std::size_t job = 0; job < given_up.size(); ++job) {
      if (given_up[job]) add(job);
    }
  }
  if (values->contains("unfence")) request.unfence = (*values)["unfence"].as<std::vector<std::string>>();

  bool taken = true;
  std::string how = "nothing was given up";
  if (!request.jobs.empty() || !request.unfence.empty()) {
    const auto owner = read_lock(run.lock());
    if (owner && owner_alive(*owner)) {
      request.epoch = owner->epoch;
      taken = wait_until_taken(post_control(run, request));
      how = taken ? "the run at work has taken it" : "the run at work has not taken it yet (guda status says why)";
    } else {
      RunLock lock(run.lock());
      note_retry(run, plan, lock, request);
      how = "noted: the same guda run command tries again";
    }
  }
  if (values->contains("json")) {
    Json jobs = Json::array();
    for (std::size_t i = 0; i < labels.size(); ++i)
      jobs.push_back({{"digest", request.jobs[i].hex}, {"label", labels[i]}});
    std::cout
        << Json{{"schema", 1}, {"jobs", jobs}, {"unfenced", request.unfence}, {"taken", taken}, {"how", how}}.dump(2)
        << "\n";
  } else {
    for (const std::string& label : labels) std::cout << "again: " << label << "\n";
    for (const std::string& name : request.unfence) std::cout << "trusted again: " << name << "\n";
    std::cout << how << "\n";
  }
  return taken ? kDone : kStoppedEarly;
}

}  // namespace guda::cli
