#pragma once
// Parameters of a module to and from safetensors in diffusers' folder layout, matched by name.
#include <torch/nn/module.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "common/json.hpp"

namespace guda::worker {

/// The stem of the weights files of diffusers: of UNets and autoencoders.
inline constexpr const char* kDiffusersWeights = "diffusion_pytorch_model";

/// config.json of a model's folder; throws Error naming the file.
[[nodiscard]] Json read_model_config(const std::filesystem::path& folder);

/// Fills every parameter and buffer of `module` (on the CPU) from <stem>.safetensors or the shards named by
/// <stem>.safetensors.index.json in `folder`. Floating tensors of any width are converted to the parameter's type;
/// names of old attention blocks (query, key, value, proj_attn) are understood. Throws one Error that lists all
/// missing, unused and misshaped tensors, and then leaves the module half filled. Stored tensors whose name is
/// `passed_over` count as not there.
void load_weights(torch::nn::Module& module, const std::filesystem::path& folder, const std::string& stem,
                  const std::function<bool(const std::string&)>& passed_over = {});

/// Shape of a stored tensor; nothing where these files hold none of that name.
[[nodiscard]] std::optional<std::vector<std::uint64_t>> stored_shape(const std::filesystem::path& folder,
                                                                     const std::string& stem, const std::string& name);

/// Writes every parameter and buffer; the file is replaced whole.
void save_weights(torch::nn::Module& module, const std::filesystem::path& file);

}  // namespace guda::worker
