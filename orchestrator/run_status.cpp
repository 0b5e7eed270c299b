#include "orchestrator/run_status.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "common/files.hpp"

namespace guda::orchestrator {

void add_metrics(RunStatus& s, const Json& metrics) {
  if (!metrics.is_object()) return;
  s.peak_memory = std::max(s.peak_memory, metrics.value("peak_memory_bytes", std::uint64_t{0}));
  s.peak_device = std::max(s.peak_device, metrics.value("peak_device_bytes", std::uint64_t{0}));
  const auto cache = metrics.find("node_cache");
  if (cache == metrics.end() || !cache->is_object()) return;
  s.cache_read += cache->value("read_bytes", std::uint64_t{0});
  s.cache_found += cache->value("found_bytes", std::uint64_t{0});
  s.cache_read_seconds += cache->value("read_seconds", 0.0);
}

void to_json(Json& j, const RunStatus& s) {
  Json workers = Json::array();
  for (const WorkerView& w : s.workers) {
    workers.push_back({{"rank", w.rank},
                       {"device", w.device},
                       {"state", w.state},
                       {"job", w.job},
                       {"member", w.member},
                       {"running_for", w.running_for},
                       {"silent_for", w.silent_for},
                       {"step", w.step},
                       {"steps", w.steps},
                       {"loss", std::isfinite(w.loss) ? Json(w.loss) : Json()}});
  }
  j = {{"schema", 1},
       {"sequence", s.sequence},
       {"epoch", s.epoch},
       {"token", s.token},
       {"pid", s.pid},
       {"pid_start", s.pid_start},
       {"host", s.host},
       {"time", s.time},
       {"state", s.state},
       {"exit_code", s.exit_code},
       {"reason", s.reason},
       {"planned", s.planned},
       {"jobs",
        {{"total", s.total},
         {"done", s.done},
         {"running", s.running},
         {"quarantined", s.quarantined},
         {"blocked", s.blocked}}},
       {"committed_this_life", s.committed_this_life},
       {"failures", s.failures},
       {"progress", s.progress},
       {"eta_p10", s.eta_p10},
       {"eta_p50", s.eta_p50},
       {"eta_p90", s.eta_p90},
       {"device_seconds", s.device_seconds},
       {"elapsed", s.elapsed},
       {"workers", workers},
       {"fenced", s.fenced},
       {"errors", s.errors},
       {"started", s.started},
       {"last_commit", s.last_commit},
       {"jobs_per_hour", s.jobs_per_hour},
       {"quarantined_jobs", s.quarantined_jobs},
       {"node_cache",
        {{"read_bytes", s.cache_read}, {"read_seconds", s.cache_read_seconds}, {"found_bytes", s.cache_found}}},
       {"peak_memory_bytes", s.peak_memory},
       {"peak_device_bytes", s.peak_device},
       {"journal_bytes", s.journal_bytes}};
}

void from_json(const Json& j, RunStatus& s) {
  j.at("sequence").get_to(s.sequence);
  j.at("epoch").get_to(s.epoch);
  j.at("token").get_to(s.token);
  j.at("pid").get_to(s.pid);
  j.at("pid_start").get_to(s.pid_start);
  j.at("host").get_to(s.host);
  j.at("time").get_to(s.time);
  j.at("state").get_to(s.state);
  j.at("exit_code").get_to(s.exit_code);
  j.at("reason").get_to(s.reason);
  j.at("planned").get_to(s.planned);
  const Json& jobs = j.at("jobs");
  jobs.at("total").get_to(s.total);
  jobs.at("done").get_to(s.done);
  jobs.at("running").get_to(s.running);
  jobs.at("quarantined").get_to(s.quarantined);
  jobs.at("blocked").get_to(s.blocked);
  j.at("committed_this_life").get_to(s.committed_this_life);
  j.at("failures").get_to(s.failures);
  j.at("progress").get_to(s.progress);
  j.at("eta_p10").get_to(s.eta_p10);
  j.at("eta_p50").get_to(s.eta_p50);
  j.at("eta_p90").get_to(s.eta_p90);
  j.at("device_seconds").get_to(s.device_seconds);
  j.at("elapsed").get_to(s.elapsed);
  j.at("fenced").get_to(s.fenced);
  j.at("errors").get_to(s.errors);
  // Not in the files of older versions: then the journal is read.
  s.started = j.value("started", s.started);
  s.last_commit = j.value("last_commit", s.last_commit);
  s.jobs_per_hour = j.value("jobs_per_hour", s.jobs_per_hour);
  s.quarantined_jobs = j.value("quarantined_jobs", s.quarantined_jobs);
  s.journal_bytes = j.value("journal_bytes", s.journal_bytes);
  if (const auto cache = j.find("node_cache"); cache != j.end()) {
    cache->at("read_bytes").get_to(s.cache_read);
    cache->at("read_seconds").get_to(s.cache_read_seconds);
    cache->at("found_bytes").get_to(s.cache_found);
  }
  s.peak_memory = j.value("peak_memory_bytes", s.peak_memory);
  s.peak_device = j.value("peak_device_bytes", s.peak_device);
  s.workers.clear();
  for (const Json& w : j.at("workers")) {
    WorkerView v;
    w.at("rank").get_to(v.rank);
    w.at("device").get_to(v.device);
    w.at("state").get_to(v.state);
    w.at("job").get_to(v.job);
    v.member = w.value("member", "");
    w.at("running_for").get_to(v.running_for);
    w.at("silent_for").get_to(v.silent_for);
    w.at("step").get_to(v.step);
    w.at("steps").get_to(v.steps);
    v.loss = w.at("loss").is_null() ? std::numeric_limits<double>::quiet_NaN() : w.at("loss").get<double>();
    s.workers.push_back(std::move(v));
  }
}

std::optional<RunStatus> read_status(const std::filesystem::path& file) {
  try {
    return Json::parse(read_file(file)).get<RunStatus>();
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

}  // namespace guda::orchestrator
