#pragma once
// The shape of a UNet2DModel: config.json of diffusers 0.31 as a plain struct. No torch here.
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/json.hpp"

namespace guda::worker {

/// Field names, meanings and defaults are those of diffusers' UNet2DModel.
struct UNet2DConfig {
  std::optional<std::array<std::uint32_t, 2>> sample_size;  ///< height, width; information only
  std::uint32_t in_channels = 3;
  std::uint32_t out_channels = 3;
  bool center_input_sample = false;                ///< the model sees 2 x - 1
  std::string time_embedding_type = "positional";  ///< positional | fourier
  double freq_shift = 0;
  bool flip_sin_to_cos = true;
  std::vector<std::string> down_block_types{"DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"};
  std::vector<std::string> up_block_types{"AttnUpBlock2D", "AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"};
  std::vector<std::uint32_t> block_out_channels{224, 448, 672, 896};
  std::uint32_t layers_per_block = 2;
  double mid_block_scale_factor = 1;
  std::uint32_t downsample_padding = 1;  ///< 0 | 1, of conv downsampling
  std::string downsample_type = "conv";  ///< conv | resnet
  std::string upsample_type = "conv";    ///< conv | resnet
  double dropout = 0;
  std::string act_fn = "silu";                          ///< silu | swish | mish | gelu | relu
  std::optional<std::uint32_t> attention_head_dim = 8;  ///< null: one head of all channels
  std::uint32_t norm_num_groups = 32;
  std::optional<std::uint32_t> attn_norm_num_groups;  ///< of the mid block's attention
  double norm_eps = 1e-5;
  std::string resnet_time_scale_shift = "default";   ///< default | scale_shift
  bool add_attention = true;                         ///< attention in the mid block
  std::optional<std::string> class_embed_type;       ///< null | timestep | identity
  std::optional<std::uint32_t> num_class_embeds;     ///< rows of a learned table when class_embed_type is null
  std::optional<std::uint32_t> num_train_timesteps;  ///< of learned time embeddings; information only here

  /// Keys beginning with "_" are skipped, but "_class_name" must be UNet2DModel. One Error lists every unknown key,
  /// unsupported value and misfit; `where` (a file, a key of the experiment) begins its message.
  [[nodiscard]] static UNet2DConfig from_json(const Json& json, const std::string& where = "UNet2D config");
  /// Every field under diffusers' key, plus "_class_name" and "_diffusers_version".
  [[nodiscard]] Json to_json() const;

  [[nodiscard]] std::uint32_t time_embed_dim() const noexcept { return 4 * block_out_channels.front(); }
  [[nodiscard]] bool has_class_embedding() const noexcept { return class_embed_type || num_class_embeds; }
};

}  // namespace guda::worker
