#pragma once
// `guda run` after planning: owns the run directory, starts life after life, shows progress, passes signals on.
#include <cstdint>
#include <filesystem>

#include "cluster/launch_plan.hpp"
#include "orchestrator/progress.hpp"
#include "orchestrator/run_layout.hpp"
#include "orchestrator/run_lock.hpp"
#include "orchestrator/serve.hpp"

namespace guda::orchestrator {

struct SupervisorConfig {
  cluster::LaunchPlan launch;
  Life life;                       ///< timings; epoch and token are filled per life
  double grace = 30;               ///< s between a stop signal and killing everything
  double stop_at = 0;              ///< Unix time at which running jobs are asked to hand themselves back; 0: never
  std::string stop_reason;         ///< why, for people
  std::uint32_t barren_lives = 3;  ///< lives without progress, one after another, before giving up
  bool more_follows = false;       ///< another stage is planned after this one: a stop is no end, however late it comes
  double fruitful_after = 900;     ///< s; a life that lasted longer made progress although nothing was committed
};

/// From here on INT, TERM, USR2 and HUP end this process with 75 at once, as far as supervise() does not take them:
/// while a run is planned and after its end everything on disk is replaced whole, so nothing has to be handed back.
void exit_on_stop_signals();

/// Runs plan.json of the run directory to its end; needs the lock. Returns the exit code of the run (architecture 6).
/// Must be called from a single-threaded process: it blocks signals and becomes subreaper of everything below.
[[nodiscard]] int supervise(const RunLayout& run, RunLock& lock, const SupervisorConfig& config, Progress& progress);

}  // namespace guda::orchestrator
