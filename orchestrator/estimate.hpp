#pragma once
// What an experiment costs before a job is paid for: device-hours, wall time by the real scheduler in virtual time,
// lives under a walltime, disk, memory. Pure.
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "jobs/calibration.hpp"
#include "jobs/memory.hpp"
#include "jobs/plan.hpp"

namespace guda::orchestrator {

struct EstimateOptions {
  std::uint32_t workers = 1;
  std::uint32_t workers_per_node = 1;
  double walltime = 0;        ///< s per life; 0: no limit
  double reserve = 0;         ///< s at the end of a life in which jobs are handed back (the signal's lead)
  double requeue = 120;       ///< s that Slurm holds a requeued job back
  double startup = 10;        ///< s until workers are at work: mpirun, libraries, plan
  jobs::FrozenParts parts{};  ///< of a text-to-image experiment, for its memory
};

struct KindEstimate {
  std::uint64_t jobs = 0, done = 0;
  jobs::Cost seconds;  ///< device-seconds left
  double longest = 0;  ///< p90 of the longest job left
  double memory = 0;   ///< bytes of the job that needs most
};

struct Estimate {
  std::map<std::string, KindEstimate> kinds;  ///< by job kind
  std::map<std::string, jobs::Cost>
      methods;                ///< device-seconds that a method costs in all, done or not; shared work is not counted
  jobs::Cost device_seconds;  ///< left
  jobs::Cost wall_seconds;    ///< left, requeues included
  double utilisation = 1;
  std::uint32_t lives = 1;
  bool fits = true;          ///< false: some job can't end within a life
  double longest_uncut = 0;  ///< s: p90 of the longest job without checkpoints
  std::string longest_uncut_label;
  double disk_peak = 0, disk_kept = 0;  ///< bytes in the run directory: most at once, and after retention
  double memory = 0;                    ///< bytes of the job that needs most, beside the library
  double parameters = 0;                ///< numbers in one model
  std::uint32_t gang = 1;               ///< workers that train a model together; memory is of each of them
  std::string basis;                    ///< measured or assumed
};

[[nodiscard]] Estimate estimate(const jobs::Plan& plan, const std::vector<bool>& settled,
                                const jobs::CostPredictor& costs, const EstimateOptions& options);

[[nodiscard]] Json to_json(const Estimate& estimate);

}  // namespace guda::orchestrator
