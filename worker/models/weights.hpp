#pragma once
// Parameters of a module to and from safetensors in diffusers' folder layout, matched by name.
#include <torch/nn/module.h>

#include <filesystem>
#include <string>

namespace guda::worker {

/// Fills every parameter and buffer of `module` (on the CPU) from <stem>.safetensors or the shards named by
/// <stem>.safetensors.index.json in `folder`. Floating tensors of any width are converted to the parameter's type;
/// names of old attention blocks (query, key, value, proj_attn) are understood. Throws one Error that lists all
/// missing, unused and misshaped tensors, and then leaves the module half filled.
void load_weights(torch::nn::Module& module, const std::filesystem::path& folder, const std::string& stem);

/// Writes every parameter and buffer; the file is replaced whole.
void save_weights(torch::nn::Module& module, const std::filesystem::path& file);

}  // namespace guda::worker
