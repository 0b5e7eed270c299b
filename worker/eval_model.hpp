#pragma once
// guda-worker eval-model: one forward pass on given tensors, so that anybody can check our models against diffusers.
#include <filesystem>

namespace guda::worker {

/// Loads the UNet2DModel in `folder`, reads `sample` [N, C, H, W], `timestep` [N] or scalar and, for a model with class
/// embedding, `class_labels` from the safetensors file `input`, and writes `out` float32 to `output`. With a non-empty
/// `save`, also writes the model back into that folder. Returns the exit code 0; throws Error naming file and tensor.
int eval_model(const std::filesystem::path& folder, const std::filesystem::path& input,
               const std::filesystem::path& output, const std::filesystem::path& save = {});

}  // namespace guda::worker
