#pragma once
// The autoencoder of a text-to-image experiment that trains its own.
#include <array>
#include <cstdint>

#include "common/json.hpp"
#include "jobs/experiment.hpp"

namespace guda::jobs {

/// config.json of the AutoencoderKL for images of this shape (channels, height, width). Its scaling_factor is 1: what
/// it is comes out of the training.
[[nodiscard]] Json autoencoder_model(const AutoencoderConfig& config, const std::array<std::uint32_t, 3>& shape);

/// Whether this is the config of an AutoencoderKL.
[[nodiscard]] bool is_autoencoder(const Json& model);

/// Pixels along one side of a latent's pixel.
[[nodiscard]] std::uint32_t reduction_of(const Json& autoencoder);

}  // namespace guda::jobs
