#include "jobs/autoencoder_model.hpp"

#include <string>
#include <vector>

namespace guda::jobs {

Json autoencoder_model(const AutoencoderConfig& config, const std::array<std::uint32_t, 3>& shape) {
  const std::size_t blocks = config.block_out_channels.size();
  return {{"_class_name", "AutoencoderKL"},
          {"in_channels", shape[0]},
          {"out_channels", shape[0]},
          {"down_block_types", std::vector<std::string>(blocks, "DownEncoderBlock2D")},
          {"up_block_types", std::vector<std::string>(blocks, "UpDecoderBlock2D")},
          {"block_out_channels", config.block_out_channels},
          {"layers_per_block", config.layers_per_block},
          {"latent_channels", config.latent_channels},
          {"norm_num_groups", config.norm_num_groups},
          {"sample_size", shape[1]},
          {"scaling_factor", 1.0},
          {"mid_block_add_attention", false}};
}

bool is_autoencoder(const Json& model) {
  return model.is_object() && model.value("_class_name", "") == "AutoencoderKL";
}

std::uint32_t reduction_of(const Json& autoencoder) { return 1U << (autoencoder.at("block_out_channels").size() - 1); }

}  // namespace guda::jobs
