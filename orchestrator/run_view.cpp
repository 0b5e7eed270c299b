#include "orchestrator/run_view.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <fstream>

#include "common/clock.hpp"
#include "common/error.hpp"
#include "orchestrator/job_story.hpp"
#include "orchestrator/prepare_run.hpp"
#include "orchestrator/progress.hpp"
#include "orchestrator/run_store.hpp"

namespace guda::orchestrator {
namespace {

constexpr double kStale = 30;     // s after which the status of a living run is old
constexpr double kRecent = 3600;  // s over which throughput is measured
constexpr std::uintmax_t kTail = 64 << 10;

std::string clock_text(double time) {
  const auto seconds = static_cast<std::time_t>(time);
  std::tm local{};
  ::localtime_r(&seconds, &local);
  return fmt::format("{:%Y-%m-%d %H:%M:%S}", local);
}

std::string headline_of(const RunView& v) {
  if (v.alive) {
    std::string text = (v.remote ? "at work on another host: " : "at work: ") + describe(*v.owner);
    if (v.has_status && v.status.state != "ended" && v.status_age > kStale)
      text += fmt::format("; status is {} old", duration_text(v.status_age));
    return text;
  }
  if (v.lives == 0) return "planned, not started yet. Start it: guda run";
  const bool over = v.status.done + v.status.quarantined + v.status.blocked >= v.status.total;
  if (over && v.status.done == v.status.total) return "complete";
  if (over) return "complete, with quarantined jobs";
  return "stopped before its end. Resume it: the same guda run command";
}

/// Whether status.json says all there is to know: that of a run at work, or of a life that ended in order and to whose
/// journal nobody has added since. Then nothing is read that grows with the jobs.
bool status_suffices(const RunView& v, const RunLayout& run) {
  if (!v.has_status || v.status.started == 0 || !std::filesystem::exists(run.plan())) return false;
  if (v.status.epoch == 0 || last_epoch(run.journal()) != v.status.epoch) return false;
  if (v.alive) return v.status.state != "starting";
  std::error_code gone;
  return v.status.state == "ended" &&
         std::filesystem::file_size(journal_file(run.journal(), v.status.epoch), gone) == v.status.journal_bytes;
}

/// Counts and times from the journal: they are true also where status.json is old, lost or of a life that was killed.
void read_history(RunView& v, const RunLayout& run, const jobs::Plan& plan) {
  const JournalContent journal = read_journal(run.journal(), MissingLives::report);
  v.lives = journal.last_epoch;
  v.faults = journal.faults();
  const auto commits = commits_of(journal);
  std::vector<double> times;
  double device_seconds = 0, life_began = 0;
  RunStatus memory;
  for (const jobs::JobSpec& job : plan.jobs) {
    if (const auto done = commits.find(job.digest); done != commits.end())
      device_seconds += done->second.seconds * jobs::gang_of(job.work);
  }
  for (const JournalRecord& record : journal.records) {
    const double time = record.body.value("time", 0.0);
    if (v.started == 0) v.started = time;
    if (record.type == RecordType::life) life_began = time;
    if (record.type != RecordType::commit) continue;
    v.last_commit = std::max(v.last_commit, time);
    if (record.epoch == journal.last_epoch && time > 0) times.push_back(time);
    if (record.epoch == journal.last_epoch) add_metrics(memory, record.body.value("metrics", Json::object()));
  }
  const double until = v.alive ? unix_seconds() : v.last_commit;
  const double since = std::max(life_began, until - kRecent);
  const auto recent = std::count_if(times.begin(), times.end(), [&](double t) { return t >= since; });
  if (recent > 0 && until > since) v.jobs_per_hour = double(recent) * 3600 / (until - since);

  const RunFacts facts{journal, settled_jobs(plan, commits, artifact_folders(run)), std::nullopt, false};
  const auto states = job_states(plan, facts);
  for (std::size_t i = 0; i < states.size(); ++i) {
    if (states[i] == "quarantined") v.quarantined.push_back(plan.jobs[i].label);
  }
  if (v.alive && v.has_status) return;
  v.status.total = plan.jobs.size() + plan.next.jobs;
  v.status.done = static_cast<std::uint64_t>(std::count(states.begin(), states.end(), "done"));
  v.status.quarantined = v.quarantined.size();
  v.status.blocked = static_cast<std::uint64_t>(std::count(states.begin(), states.end(), "blocked"));
  v.status.running = 0;
  v.status.device_seconds = device_seconds;
  v.status.cache_read = memory.cache_read;
  v.status.cache_read_seconds = memory.cache_read_seconds;
  v.status.cache_found = memory.cache_found;
  v.status.peak_memory = memory.peak_memory;
  v.status.peak_device = memory.peak_device;
  v.status.epoch = journal.last_epoch;
  v.status.state = "ended";
  double total = plan.next.cost, left = plan.next.cost;
  for (std::size_t i = 0; i < states.size(); ++i) {
    const double cost = plan.jobs[i].cost * jobs::gang_of(plan.jobs[i].work);
    total += cost;
    left += states[i] == "done" ? 0 : cost;
  }
  v.status.progress = total > 0 ? 1 - left / total : 1;
}

}  // namespace

std::vector<std::string> last_lines(const std::filesystem::path& file, std::size_t lines) {
  std::ifstream in(file, std::ios::binary | std::ios::ate);
  if (!in) return {};
  const auto size = static_cast<std::uintmax_t>(in.tellg());
  const std::uintmax_t begin = size > kTail ? size - kTail : 0;
  in.seekg(static_cast<std::streamoff>(begin));
  std::vector<std::string> found;
  for (std::string line; std::getline(in, line);) found.push_back(line);
  if (begin > 0 && !found.empty()) found.erase(found.begin());
  if (found.size() > lines) found.erase(found.begin(), found.end() - static_cast<std::ptrdiff_t>(lines));
  return found;
}

std::vector<std::string> last_words(const RunLayout& run, std::uint32_t epoch) {
  std::vector<std::string> words;
  for (const std::string& line : last_lines(run.logs() / fmt::format("life-{:04}.log", epoch), 50)) {
    if (line.starts_with("guda-")) words.push_back(line);
  }
  if (words.size() > 3) words.erase(words.begin(), words.end() - 3);
  return words;
}

RunView view_run(const RunLayout& run) {
  RunView v;
  if (const auto status = read_status(run.status())) {
    v.status = *status;
    v.has_status = true;
    v.status_age = std::max(0.0, unix_seconds() - status->time);
  }
  v.owner = read_lock(run.lock());
  v.alive = v.owner && owner_alive(*v.owner);
  v.remote = v.alive && !is_local(*v.owner);
  if (!v.alive) {
    v.status.workers.clear();
    v.status.eta_p10 = v.status.eta_p50 = v.status.eta_p90 = -1;
  }
  if (status_suffices(v, run)) {
    v.lives = v.status.epoch;
    v.started = v.status.started;
    v.last_commit = v.status.last_commit;
    v.jobs_per_hour = v.status.jobs_per_hour;
    v.quarantined = v.status.quarantined_jobs;
    v.status.running = v.alive ? v.status.running : 0;
  } else {
    read_history(v, run, load_plan(run));
  }
  if (v.alive && !v.status.workers.empty()) {
    const auto working =
        std::count_if(v.status.workers.begin(), v.status.workers.end(), [](const auto& w) { return !w.job.empty(); });
    v.busy = double(working) / double(v.status.workers.size());
  }
  v.headline = headline_of(v);
  if (!v.alive && v.status.done < v.status.total && v.lives > 0) v.log_errors = last_words(run, v.lives);
  return v;
}

void to_json(Json& j, const RunView& v) {
  j = Json(v.status);
  // "since when": seconds become times, so that they can be read later, too.
  for (Json& worker : j["workers"]) {
    worker["since"] =
        worker.at("job").get<std::string>().empty() ? 0.0 : v.status.time - worker.at("running_for").get<double>();
  }
  j["alive"] = v.alive;
  j["remote"] = v.remote;
  j["headline"] = v.headline;
  j["status_age"] = v.status_age;
  j["lives"] = v.lives;
  j["started"] = v.started;
  j["last_commit"] = v.last_commit;
  j["jobs_per_hour"] = v.jobs_per_hour < 0 ? Json() : Json(v.jobs_per_hour);
  j["busy"] = v.busy < 0 ? Json() : Json(v.busy);
  j["device_hours"] = v.status.device_seconds / 3600;
  j["journal_faults"] = v.faults;
  j["quarantined_jobs"] = v.quarantined;
  j["log_errors"] = v.log_errors;
  j["owner"] = v.owner ? Json{{"user", v.owner->user},   {"host", v.owner->host},           {"pid", v.owner->pid},
                              {"epoch", v.owner->epoch}, {"slurm_job", v.owner->slurm_job}, {"age", v.owner->age}}
                       : Json();
}

std::string render_view(const RunView& v, const RunLayout& run, int columns, bool utf8) {
  std::string text = run.folder.string() + ": " + v.headline + "\n";
  if (v.lives == 0 && !v.has_status) return text;
  text += render_progress(v.status, columns, utf8);
  text +=
      fmt::format("  life {}{}, {:.2f} device-hours in all", v.lives,
                  v.started > 0 ? ", first one began " + clock_text(v.started) : "", v.status.device_seconds / 3600);
  if (v.jobs_per_hour >= 0) text += fmt::format(", {:.3g} jobs/h", v.jobs_per_hour);
  if (v.busy >= 0) text += fmt::format(", {:.0f} % of the workers busy", 100 * v.busy);
  text += "\n";
  for (const WorkerView& w : v.status.workers) {
    if (w.state == "running" || w.state == "idle") continue;
    text += fmt::format("  {} is {}: silent for {}{}\n", w.device, w.state, duration_text(w.silent_for),
                        w.job.empty() ? "" : ", had " + w.job);
  }
  for (const WorkerView& w : v.status.workers) {
    if (!w.job.empty())
      text += fmt::format("  {} runs {}{} since {}\n", w.device, w.job, w.member.empty() ? "" : ", member " + w.member,
                          clock_text(v.status.time - w.running_for));
  }
  const auto gigabytes = [](std::uint64_t bytes) { return fmt::format("{:.3g} GB", double(bytes) / 1e9); };
  if (v.status.peak_memory > 0)
    text += fmt::format("  a job had at most {} of memory{}\n", gigabytes(v.status.peak_memory),
                        v.status.peak_device > 0 ? ", " + gigabytes(v.status.peak_device) + " of its device's" : "");
  if (v.status.cache_read + v.status.cache_found > 0)
    text += fmt::format("  node caches read {} from the run directory at {:.3g} GB/s and held {} more reads\n",
                        gigabytes(v.status.cache_read),
                        double(v.status.cache_read) / 1e9 / std::max(1e-9, v.status.cache_read_seconds),
                        gigabytes(v.status.cache_found));
  if (v.last_commit > 0)
    text += fmt::format("  last result {} ({} ago)\n", clock_text(v.last_commit),
                        duration_text(unix_seconds() - v.last_commit));
  constexpr std::size_t kMost = 5;
  for (std::size_t i = 0; i < std::min(kMost, v.quarantined.size()); ++i) {
    text += fmt::format("  given up: {} (guda explain {} \"{}\")\n", v.quarantined[i], run.folder.string(),
                        v.quarantined[i]);
  }
  if (v.quarantined.size() > kMost) text += fmt::format("  ... and {} more given up\n", v.quarantined.size() - kMost);
  for (const std::string& fault : v.faults) text += "  damaged: " + fault + " (guda verify says more)\n";
  for (const std::string& e : v.status.errors) text += "  last error: " + e + "\n";
  for (const std::string& e : v.log_errors) text += "  last words: " + e + "\n";
  return text;
}

}  // namespace guda::orchestrator
