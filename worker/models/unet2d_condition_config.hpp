#pragma once
// The shape of a UNet2DConditionModel: config.json of diffusers 0.31 as a plain struct. No torch here.
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/json.hpp"

namespace guda::worker {

/// Field names, meanings and defaults are those of diffusers' UNet2DConditionModel. Lists hold one entry per block.
/// What Stable Diffusion 1.x and 2.x use is here, and class-conditional models of pixels; keys of other models (SDXL's
/// added embeddings, Kandinsky's projections, GLIGEN) are accepted with their default only.
struct UNet2DConditionConfig {
  std::optional<std::array<std::uint32_t, 2>> sample_size;  ///< height, width; information only
  std::uint32_t in_channels = 4;
  std::uint32_t out_channels = 4;
  bool center_input_sample = false;  ///< the model sees 2 x - 1
  bool flip_sin_to_cos = true;
  double freq_shift = 0;
  std::vector<std::string> down_block_types{"CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D",
                                            "DownBlock2D"};
  /// UNetMidBlock2DCrossAttn | UNetMidBlock2D (one residual block, no attention) | null
  std::optional<std::string> mid_block_type = "UNetMidBlock2DCrossAttn";
  std::vector<std::string> up_block_types{"UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D",
                                          "CrossAttnUpBlock2D"};
  std::vector<bool> only_cross_attention{false};  ///< the first attention of a transformer block also sees the context
  std::vector<std::uint32_t> block_out_channels{320, 640, 1280, 1280};
  std::vector<std::uint32_t> layers_per_block{2};
  std::uint32_t downsample_padding = 1;  ///< 0 | 1
  double mid_block_scale_factor = 1;
  double dropout = 0;           ///< of residual blocks
  std::string act_fn = "silu";  ///< silu | swish | mish | gelu | relu
  std::uint32_t norm_num_groups = 32;
  double norm_eps = 1e-5;
  std::vector<std::uint32_t> cross_attention_dim{1280};  ///< width of the context
  std::vector<std::uint32_t> transformer_layers_per_block{1};
  /// Diffusers' misnomer: cross-attention has so many *heads*; the plain attention of AttnDownBlock2D and AttnUpBlock2D
  /// has heads of so many channels.
  std::vector<std::uint32_t> attention_head_dim{8};
  bool use_linear_projection = false;  ///< proj_in and proj_out are linear layers instead of 1x1 convolutions
  /// null | timestep | identity | projection (two layers from a vector) | simple_projection (one)
  std::optional<std::string> class_embed_type;
  std::optional<std::uint32_t> num_class_embeds;  ///< rows of a learned table when class_embed_type is null
  std::optional<std::uint32_t> projection_class_embeddings_input_dim;  ///< length of that vector
  bool upcast_attention = false;                                       ///< attention in float32: ours always is
  std::string resnet_time_scale_shift = "default";                     ///< default | scale_shift

  /// Keys beginning with "_" are skipped, but "_class_name" must be UNet2DConditionModel. One Error lists every unknown
  /// key, unsupported value and misfit; `where` (a file, a key of the experiment) begins its message. Lists given as
  /// one number are spread over the blocks.
  [[nodiscard]] static UNet2DConditionConfig from_json(const Json& json,
                                                       const std::string& where = "UNet2DCondition config");
  /// Every supported field under diffusers' key, plus "_class_name" and "_diffusers_version".
  [[nodiscard]] Json to_json() const;

  [[nodiscard]] std::uint32_t time_embed_dim() const noexcept { return 4 * block_out_channels.front(); }
  [[nodiscard]] bool has_class_embedding() const noexcept { return class_embed_type || num_class_embeds; }
};

}  // namespace guda::worker
