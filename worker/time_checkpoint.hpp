#pragma once
// guda-worker time-checkpoint: what a checkpoint of a model costs on a file system.
#include <filesystem>

namespace guda::worker {

/// Writes and reads back `repeat` checkpoints of a training loop of a new model with this config.json (weights, two
/// moments, EMA) in `folder`, which must exist; what was written is removed. Prints one JSON object: parameters, bytes,
/// the seconds of every write and read, and the interval that follows for a long job. Returns 0; throws Error and
/// IoError.
int time_checkpoint(const std::filesystem::path& config, const std::filesystem::path& folder, int repeat);

}  // namespace guda::worker
