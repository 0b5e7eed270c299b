#pragma once
// Measures what the jobs of an experiment take on this node: a few short jobs of every cost class on as many
// guda-workers at once as a run would have here, so that shared caches, memory and clocks count.
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "jobs/calibration.hpp"
#include "jobs/dataset.hpp"
#include "jobs/experiment.hpp"

namespace guda::orchestrator {

struct CalibrationRequest {
  jobs::Experiment experiment;
  std::filesystem::path worker;                  ///< guda-worker
  std::filesystem::path scratch;                 ///< an empty folder; the caller removes it
  std::uint32_t workers = 1;                     ///< at once, `threads` of the experiment each
  double seconds = 2;                            ///< aimed at per cost class
  double patience = 600;                         ///< s in all before it gives up
  std::function<void(const std::string&)> note;  ///< what is being done, for people
};

/// Throws Error with the worker's own words when a job fails and when `patience` ends.
[[nodiscard]] jobs::ModelCalibration calibrate(const CalibrationRequest& request);

/// The experiment cut down to short jobs of every cost class.
/// Pure; used by calibrate() and its test.
[[nodiscard]] jobs::Experiment trial_of(const jobs::Experiment& experiment);

/// Rate of a class from a small and a large job of it: s of each and FLOPs of each.
[[nodiscard]] jobs::Rate rate_from(double small_flops, double small_seconds, double large_flops, double large_seconds);

}  // namespace guda::orchestrator
