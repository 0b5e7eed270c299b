#pragma once
// Weights of CLIP's towers in a folder of transformers, which may hold both.
#include <torch/nn/module.h>

#include <cstdint>
#include <filesystem>

namespace guda::worker {

/// The stem of the weights files that transformers writes.
inline constexpr const char* kClipWeights = "model";

enum class ClipTower { text, vision };

/// Rows of the tower's projection as stored; 0: the folder holds none.
[[nodiscard]] std::uint32_t clip_projection_width(const std::filesystem::path& folder, ClipTower tower);

/// load_weights, passing over the other tower, the temperature and the position numbers of old versions.
void load_clip_weights(torch::nn::Module& module, const std::filesystem::path& folder, ClipTower tower);

}  // namespace guda::worker
