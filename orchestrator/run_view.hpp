#pragma once
// What a run is doing, seen from outside: live, dead or on another machine. Reads only.
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/json.hpp"
#include "jobs/plan.hpp"
#include "orchestrator/run_layout.hpp"
#include "orchestrator/run_lock.hpp"
#include "orchestrator/run_status.hpp"

namespace guda::orchestrator {

struct RunView {
  RunStatus status;  ///< of the last life; counts are from the journal when there is none or it is older
  bool has_status = false;
  bool alive = false;   ///< somebody owns the run and may be at work
  bool remote = false;  ///< on another host
  std::optional<LockInfo> owner;
  std::string headline;
  double status_age = -1;  ///< s; -1: no status yet
  std::uint32_t lives = 0;
  double started = 0;                    ///< Unix time of the first record; 0: not started, or by an older version
  double last_commit = 0;                ///< Unix time
  double jobs_per_hour = -1;             ///< of the last hour of this life at most; -1: not known yet
  double busy = -1;                      ///< share of the workers that run a job
  std::vector<std::string> faults;       ///< of the journal: guda verify says more
  std::vector<std::string> quarantined;  ///< labels
  std::vector<std::string> log_errors;   ///< what the programs of a dead life said last
};
void to_json(Json& j, const RunView& view);

/// Throws Error when `run` is no run directory.
[[nodiscard]] RunView view_run(const RunLayout& run);

/// For people.
[[nodiscard]] std::string render_view(const RunView& view, const RunLayout& run, int columns, bool utf8);

/// What the programs of a life said last in its log: at most three lines.
[[nodiscard]] std::vector<std::string> last_words(const RunLayout& run, std::uint32_t epoch);

/// Last lines of a text file, at most `lines` of them and 64 KiB; empty when it can't be read.
[[nodiscard]] std::vector<std::string> last_lines(const std::filesystem::path& file, std::size_t lines);

}  // namespace guda::orchestrator
