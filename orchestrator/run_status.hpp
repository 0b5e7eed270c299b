#pragma once
// status.json: what the coordinator is doing, replaced twice a second. Progress bars, `guda status` and the
// supervisor's watch over a frozen coordinator all read it; nothing depends on its being durable.
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "common/json.hpp"

namespace guda::orchestrator {

struct WorkerView {
  std::uint32_t rank = 0;
  std::string device, state;  ///< state: idle | running | frozen | suspect | lost | held back | fenced
  std::string job;            ///< label of what it runs
  std::string member;         ///< "1 of 2" in a gang; empty: it works alone
  double running_for = 0;     ///< s
  double silent_for = 0;      ///< s since its last message, or, frozen, since its process did anything
  std::uint64_t step = 0, steps = 0;
  double loss = 0;
};

inline constexpr std::size_t kMostLabels = 1000;

struct RunStatus {
  std::uint64_t sequence = 0;  ///< grows with every write of one life
  std::uint32_t epoch = 0;
  std::string token;            ///< of the life: one that died before its journal began left its epoch to the next
  int pid = 0;                  ///< of the coordinator
  std::uint64_t pid_start = 0;  ///< its kernel start time: a pid alone may be somebody else's by now
  std::string host;
  double time = 0;      ///< Unix time of writing
  std::string state;    ///< starting | running | stopping | ended
  int exit_code = -1;   ///< when ended
  std::string reason;   ///< when ended: why
  bool planned = true;  ///< when ended: false if another life may go on from here at once (workers were lost)
  std::uint64_t total = 0, done = 0, running = 0, quarantined = 0, blocked = 0;
  std::uint64_t committed_this_life = 0, failures = 0;
  double progress = 0;                              ///< share of the predicted work that is done, 0..1
  double eta_p10 = -1, eta_p50 = -1, eta_p90 = -1;  ///< s; -1: not known yet
  double device_seconds = 0;                        ///< of all committed jobs
  double elapsed = 0;                               ///< s of this life
  std::vector<WorkerView> workers;
  std::vector<std::string> fenced;  ///< devices and nodes that get no work until they are trusted again
  std::vector<std::string> errors;  ///< last few
  // What guda status would otherwise have to read the whole journal for.
  double started = 0;                         ///< Unix time of the run's first record
  double last_commit = 0;                     ///< Unix time; 0: none yet
  double jobs_per_hour = -1;                  ///< of the last hour of this life at most; -1: not known yet
  std::vector<std::string> quarantined_jobs;  ///< labels, at most kMostLabels
  // Of this life's committed jobs, from their metrics.
  std::uint64_t cache_read = 0, cache_found = 0;  ///< bytes that node caches read from the run directory, and held
  double cache_read_seconds = 0;
  std::uint64_t peak_memory = 0, peak_device = 0;  ///< bytes, of the job that needed most; 0: not known
  std::uint64_t journal_bytes = 0;                 ///< when ended: of this life's file; another size: read the journal
};

/// What a job's metrics say of memory and node cache.
void add_metrics(RunStatus& status, const Json& metrics);

void to_json(Json& j, const RunStatus& status);
void from_json(const Json& j, RunStatus& status);
/// Nothing when there is no status yet.
[[nodiscard]] std::optional<RunStatus> read_status(const std::filesystem::path& file);

}  // namespace guda::orchestrator
