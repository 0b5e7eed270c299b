#pragma once
// A diffusers pipeline's folder as plans see it: what its parts are, and what is wrong with them before a job is paid
// for.
#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "common/json.hpp"
#include "jobs/experiment.hpp"
#include "jobs/memory.hpp"

namespace guda::jobs {

/// All that is wrong with unet, vae, text_encoder and tokenizer, a line each: folders or files that are missing,
/// configs that are no JSON or of another class, weights that are no safetensors, cut off or have a header that is no
/// such thing (headers only: tensors are compared with the model when they are loaded).
[[nodiscard]] std::vector<std::string> faults_of_pipeline(const std::filesystem::path& folder);

/// config.json of Stable Diffusion 1.5's UNet2DConditionModel (859,520,964 parameters) and of its AutoencoderKL. Plans
/// are made with these where the folder is not there.
[[nodiscard]] Json stable_diffusion_unet();
[[nodiscard]] Json stable_diffusion_autoencoder();

/// Config of the experiment's autoencoder for images of this shape: that of pipeline.folder (Stable Diffusion's where
/// there is no such file), or of the one that is trained; null: the model works on pixels. Throws Error on a file that
/// is no JSON.
[[nodiscard]] Json autoencoder_of(const Experiment& experiment, const std::array<std::uint32_t, 3>& shape);

/// What stands beside the model, for job_memory(): empty without a pipeline.
[[nodiscard]] FrozenParts frozen_parts(const Experiment& experiment);

}  // namespace guda::jobs
