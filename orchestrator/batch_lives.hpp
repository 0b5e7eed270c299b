#pragma once
// Whether a Slurm job that stopped early goes on: batch.json in the run directory counts its lives and what they
// achieved.
#include <cstdint>
#include <filesystem>
#include <string>

#include "common/json.hpp"
#include "orchestrator/run_layout.hpp"

namespace guda::orchestrator {

/// What a run has achieved so far: grows exactly when a life was worth something.
struct Achieved {
  std::uint64_t commits = 0;
  double newest_checkpoint = 0;  ///< Unix time of the newest checkpoint inside a job; 0: none
};
[[nodiscard]] Achieved achieved(const RunLayout& run);

struct BatchLives {
  std::string job;           ///< Slurm job id of the last life
  std::uint32_t lives = 0;   ///< that ended early
  std::uint32_t barren = 0;  ///< of the last ones, without progress
  Achieved before;           ///< when the last of them ended
};
[[nodiscard]] std::filesystem::path batch_file(const RunLayout& run);
/// A fresh count when there is no file or it can't be read.
[[nodiscard]] BatchLives read_batch(const std::filesystem::path& file);
void write_batch(const std::filesystem::path& file, const BatchLives& lives);

struct LifeLimits {
  std::uint32_t lives = 50, barren = 3;
};
struct LifeVerdict {
  bool requeue = false;
  std::string why;  ///< for the log
};
/// Counts a life that ended early and says whether another one is worth its queue time. Pure.
[[nodiscard]] LifeVerdict after_life(BatchLives& lives, const Achieved& now, const LifeLimits& limits);

}  // namespace guda::orchestrator
