#pragma once
// The worker's loop: one job at a time from the agent, rows appended and fsynced before a job is reported done.
#include <cstdint>
#include <filesystem>
#include <string>

#include "worker/training/checkpoint_rule.hpp"

namespace guda::worker {

struct ServeConfig {
  std::filesystem::path run_folder;
  std::string segment;  ///< file name under rows/
  std::string name;     ///< of this worker
  std::string chaos;    ///< faults on purpose: `disk` of common/chaos.hpp
  int fd = -1;          ///< the agent's socket
  int threads = 1;
  std::uint32_t neighbours = 1;  ///< workers of the run on this node
  CheckpointRule checkpoints;
};

/// Serves until the agent's end of `fd` closes. Loads plan.json and the data set once, and checks the device before it
/// says that it is ready. Returns the exit code.
int serve_jobs(const ServeConfig& config);

}  // namespace guda::worker
