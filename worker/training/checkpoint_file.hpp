#pragma once
// One checkpoint of a training or unlearning loop as a safetensors file with a digest of its content (docs/formats.md).
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "common/digest.hpp"

namespace guda::worker {

/// Everything that changes from step to step of a loop, by name. The tensors share memory with the loop's own.
using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

struct CheckpointHead {
  Digest job;               ///< the job whose loop this is
  std::uint64_t step = 0;   ///< optimizer steps that are done ...
  std::uint64_t steps = 0;  ///< ... of this many
  double seconds = 0;       ///< device-seconds that the job has taken so far, over all attempts
  std::string worker;       ///< who wrote it
};

/// Writes `file` whole, durably and by rename. Tensors of any device and layout. Throws IoError.
void write_checkpoint(const std::filesystem::path& file, const CheckpointHead& head, const NamedTensors& state);

/// Fills `state` from `file`, all of it or nothing, and returns the head. Throws IoError when the file can't be read,
/// and Error, saying what is wrong, when its content is not what was written, or is not of `job`, or has not exactly
/// the tensors of `state`.
[[nodiscard]] CheckpointHead read_checkpoint(const std::filesystem::path& file, const Digest& job,
                                             const NamedTensors& state);

}  // namespace guda::worker
