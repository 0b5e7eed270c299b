#pragma once
// The `model` section: UNet2DModel or UNet2DConditionModel of diffusers 0.31 by the keys of its config.json, typed and
// checked before a worker sees it. What a value means is diffusers' business; what fits together is checked here.
#include <array>
#include <span>
#include <string>
#include <string_view>

#include "common/config/yaml.hpp"
#include "common/json.hpp"

namespace guda::jobs {

struct UnetKey {
  std::string_view key;
  std::string_view
      type;  ///< "int", "float", "bool", "text", "int list", "text list"; "int or null", "int, int list or null"
  std::string_view by_default;  ///< of diffusers 0.31
  std::string_view choices;     ///< text and entries of text lists: "conv|resnet"; empty = any
  double min;                   ///< numbers
  std::string_view meaning;
};

inline constexpr std::array kUnetKeys{
    UnetKey{"sample_size", "int, int list or null", "null", "", 1, "height and width of the images"},
    UnetKey{"in_channels", "int", "3", "", 1, "channels of the images"},
    UnetKey{"out_channels", "int", "3", "", 1, "the same again"},
    UnetKey{"center_input_sample", "bool", "false", "", 0, "map [0, 1] to [-1, 1] first; our images are in [-1, 1]"},
    UnetKey{"time_embedding_type", "text", "positional", "positional|fourier", 0, "how a timestep is embedded"},
    UnetKey{"freq_shift", "int", "0", "", 0, "shift of the positional frequencies"},
    UnetKey{"flip_sin_to_cos", "bool", "true", "", 0, "cosines before sines in the embedding"},
    UnetKey{"down_block_types", "text list", "[DownBlock2D, AttnDownBlock2D, AttnDownBlock2D, AttnDownBlock2D]",
            "DownBlock2D|AttnDownBlock2D", 0, "one block per resolution"},
    UnetKey{"mid_block_scale_factor", "float", "1", "", 0, "divides the output of residual blocks in the middle"},
    UnetKey{"downsample_padding", "int", "1", "", 0, "of convolutions that halve the resolution"},
    UnetKey{"downsample_type", "text", "conv", "conv|resnet", 0, "how the resolution is halved"},
    UnetKey{"upsample_type", "text", "conv", "conv|resnet", 0, "how the resolution is doubled"},
    UnetKey{"up_block_types", "text list", "[AttnUpBlock2D, AttnUpBlock2D, AttnUpBlock2D, UpBlock2D]",
            "UpBlock2D|AttnUpBlock2D", 0, "as many as down_block_types"},
    UnetKey{"block_out_channels", "int list", "[224, 448, 672, 896]", "", 1,
            "channels of each resolution, multiples of norm_num_groups"},
    UnetKey{"layers_per_block", "int", "2", "", 1, "residual blocks per resolution"},
    UnetKey{"dropout", "float", "0", "", 0, "of residual blocks, in training"},
    UnetKey{"act_fn", "text", "silu", "silu|swish|mish|gelu|relu", 0, "activation"},
    UnetKey{"attention_head_dim", "int or null", "8", "", 1, "channels of an attention head; null = one head"},
    UnetKey{"norm_num_groups", "int", "32", "", 1, "groups of group norm"},
    UnetKey{"attn_norm_num_groups", "int or null", "null", "", 1, "groups of group norm in the middle attention"},
    UnetKey{"norm_eps", "float", "1e-5", "", 0, "epsilon of group norm"},
    UnetKey{"resnet_time_scale_shift", "text", "default", "default|scale_shift", 0,
            "how the timestep enters residual blocks"},
    UnetKey{"add_attention", "bool", "true", "", 0, "attention in the middle"},
    UnetKey{"class_embed_type", "text or null", "null", "timestep|identity", 0, "class embedding"},
    UnetKey{"num_class_embeds", "int or null", "null", "", 1, "classes of a learnt class embedding"},
    UnetKey{"num_train_timesteps", "int or null", "null", "", 1, "of learnt time embeddings"},
};

/// Of text-to-image models; keys that other families of models use are refused.
inline constexpr std::array kUnetConditionKeys{
    UnetKey{"_class_name", "text", "UNet2DModel", "UNet2DConditionModel", 0, "the kind of model"},
    UnetKey{"sample_size", "int, int list or null", "null", "", 1, "height and width of the latents"},
    UnetKey{"in_channels", "int", "4", "", 1, "channels of the latents, or of the images without an autoencoder"},
    UnetKey{"out_channels", "int", "4", "", 1, "the same again"},
    UnetKey{"center_input_sample", "bool", "false", "", 0, "map [0, 1] to [-1, 1] first"},
    UnetKey{"flip_sin_to_cos", "bool", "true", "", 0, "cosines before sines in the embedding"},
    UnetKey{"freq_shift", "int", "0", "", 0, "shift of the positional frequencies"},
    UnetKey{"down_block_types", "text list",
            "[CrossAttnDownBlock2D, CrossAttnDownBlock2D, CrossAttnDownBlock2D, DownBlock2D]",
            "DownBlock2D|CrossAttnDownBlock2D", 0, "one block per resolution"},
    UnetKey{"mid_block_type", "text", "UNetMidBlock2DCrossAttn", "UNetMidBlock2DCrossAttn|UNetMidBlock2D", 0,
            "attention in the middle, or none"},
    UnetKey{"up_block_types", "text list", "[UpBlock2D, CrossAttnUpBlock2D, CrossAttnUpBlock2D, CrossAttnUpBlock2D]",
            "UpBlock2D|CrossAttnUpBlock2D", 0, "as many as down_block_types"},
    UnetKey{"only_cross_attention", "bool", "false", "", 0, "attention looks at the text only"},
    UnetKey{"block_out_channels", "int list", "[320, 640, 1280, 1280]", "", 1,
            "channels of each resolution, multiples of norm_num_groups"},
    UnetKey{"layers_per_block", "int", "2", "", 1, "residual blocks per resolution"},
    UnetKey{"downsample_padding", "int", "1", "", 0, "of convolutions that halve the resolution"},
    UnetKey{"mid_block_scale_factor", "float", "1", "", 0, "divides the output of residual blocks in the middle"},
    UnetKey{"dropout", "float", "0", "", 0, "of residual blocks, in training"},
    UnetKey{"act_fn", "text", "silu", "silu|swish|mish|gelu|relu", 0, "activation"},
    UnetKey{"norm_num_groups", "int", "32", "", 1, "groups of group norm"},
    UnetKey{"norm_eps", "float", "1e-5", "", 0, "epsilon of group norm"},
    UnetKey{"cross_attention_dim", "int", "1280", "", 1, "width of the text's embeddings"},
    UnetKey{"transformer_layers_per_block", "int", "1", "", 1, "layers of each attention block"},
    UnetKey{"attention_head_dim", "int", "8", "", 1, "attention heads (diffusers' misnomer)"},
    UnetKey{"use_linear_projection", "bool", "false", "", 0, "linear layers around attention instead of convolutions"},
    UnetKey{"resnet_time_scale_shift", "text", "default", "default|scale_shift", 0,
            "how the timestep enters residual blocks"},
};

/// Whether this is the config of a UNet2DConditionModel.
[[nodiscard]] bool is_condition_model(const Json& model);

/// Reads the mapping; values get the type of their key (`dropout: 0` is 0.0), so that equal models dump equally.
/// Adds issues for unknown keys, wrong types and values, and lists that do not fit together.
/// `_class_name: UNet2DConditionModel` asks for that model's keys.
[[nodiscard]] Json read_unet_config(const config::Node& node, const std::string& at, config::Issues& issues);

}  // namespace guda::jobs
