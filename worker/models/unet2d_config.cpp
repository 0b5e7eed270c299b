#include "worker/models/unet2d_config.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <limits>

#include "common/error.hpp"
#include "worker/models/config_reader.hpp"

namespace guda::worker {
namespace {

/// Dimensions that must divide each other; only looked at when the single values are sound.
void check_fit(ConfigReader& r, const UNet2DConfig& c) {
  const std::size_t blocks = c.block_out_channels.size();
  if (c.down_block_types.size() != blocks || c.up_block_types.size() != blocks) {
    r.fault("block_out_channels", fmt::format("{} entries, but {} down_block_types and {} up_block_types", blocks,
                                              c.down_block_types.size(), c.up_block_types.size()));
    return;
  }
  for (const std::uint32_t channels : c.block_out_channels) {
    if (channels % c.norm_num_groups != 0) {
      r.fault("norm_num_groups", fmt::format("{} does not divide {} channels", c.norm_num_groups, channels));
    }
  }
  const auto check_heads = [&](std::uint32_t channels, const std::string& where) {
    if (c.attention_head_dim && *c.attention_head_dim > channels) {
      r.fault("attention_head_dim",
              fmt::format("{} exceeds the {} channels of {}", *c.attention_head_dim, channels, where));
    }
  };
  for (std::size_t i = 0; i < blocks; ++i) {
    if (c.down_block_types[i] == "AttnDownBlock2D")
      check_heads(c.block_out_channels[i], fmt::format("down block {}", i));
    if (c.up_block_types[i] == "AttnUpBlock2D") {
      check_heads(c.block_out_channels[blocks - 1 - i], fmt::format("up block {}", i));
    }
    // The first layer of an up block sees the block below and its own skip connection side by side, the last one a skip
    // connection of the block above.
    const std::uint32_t below = c.block_out_channels[i == 0 ? blocks - 1 : blocks - i];
    const std::uint32_t own = c.block_out_channels[blocks - 1 - i];
    const std::uint32_t above = c.block_out_channels[i + 1 < blocks ? blocks - 2 - i : 0];
    for (const std::uint64_t sum : {std::uint64_t{below} + own, std::uint64_t{own} + above}) {
      if (sum % c.norm_num_groups != 0) {
        r.fault("norm_num_groups", fmt::format("{} does not divide {} concatenated channels", c.norm_num_groups, sum));
      }
    }
  }
  if (c.add_attention) check_heads(c.block_out_channels.back(), "the mid block");
  if (c.attn_norm_num_groups && c.block_out_channels.back() % *c.attn_norm_num_groups != 0) {
    r.fault("attn_norm_num_groups",
            fmt::format("{} does not divide {} channels", *c.attn_norm_num_groups, c.block_out_channels.back()));
  }
  if (c.time_embedding_type == "positional" && static_cast<double>(c.block_out_channels.front() / 2) <= c.freq_shift) {
    r.fault("freq_shift", fmt::format("{} is not below half of the {} channels of the first block", c.freq_shift,
                                      c.block_out_channels.front()));
  }
}

}  // namespace

UNet2DConfig UNet2DConfig::from_json(const Json& json, const std::string& where) {
  if (!json.is_object()) throw Error(where + ": is not an object of UNet2DModel's settings");
  UNet2DConfig c;
  ConfigReader r(json);
  r.class_name("UNet2DModel");
  r.image_size("sample_size", c.sample_size);
  r.count("in_channels", c.in_channels, 1, kMaxChannels);
  r.count("out_channels", c.out_channels, 1, kMaxChannels);
  r.flag("center_input_sample", c.center_input_sample);
  r.choice("time_embedding_type", c.time_embedding_type, {"positional", "fourier"});
  r.number("freq_shift", c.freq_shift, 0, kMaxChannels);
  r.flag("flip_sin_to_cos", c.flip_sin_to_cos);
  r.choices("down_block_types", c.down_block_types, {"DownBlock2D", "AttnDownBlock2D"});
  r.choices("up_block_types", c.up_block_types, {"UpBlock2D", "AttnUpBlock2D"});
  r.counts("block_out_channels", c.block_out_channels, 2, kMaxChannels);
  r.count("layers_per_block", c.layers_per_block, 1, kMaxLayers);
  r.number("mid_block_scale_factor", c.mid_block_scale_factor, 1e-6, 1e6);
  r.count("downsample_padding", c.downsample_padding, 0, 1);
  r.choice("downsample_type", c.downsample_type, {"conv", "resnet"});
  r.choice("upsample_type", c.upsample_type, {"conv", "resnet"});
  r.number("dropout", c.dropout, 0, 1);
  r.choice("act_fn", c.act_fn, {"silu", "swish", "mish", "gelu", "relu"});
  r.count("attention_head_dim", c.attention_head_dim, 1, kMaxChannels);
  r.count("norm_num_groups", c.norm_num_groups, 1, kMaxChannels);
  r.count("attn_norm_num_groups", c.attn_norm_num_groups, 1, kMaxChannels);
  r.number("norm_eps", c.norm_eps, 0, 1);
  r.choice("resnet_time_scale_shift", c.resnet_time_scale_shift, {"default", "scale_shift"});
  r.flag("add_attention", c.add_attention);
  r.choice("class_embed_type", c.class_embed_type, {"timestep", "identity"});
  r.count("num_class_embeds", c.num_class_embeds, 1, kMaxClasses);
  r.count("num_train_timesteps", c.num_train_timesteps, 1, std::numeric_limits<std::int32_t>::max());
  r.refuse_other_keys("UNet2D");
  if (r.faults().empty()) check_fit(r, c);
  if (!r.faults().empty()) throw Error(fmt::format("{}:\n  {}", where, fmt::join(r.faults(), "\n  ")));
  return c;
}

Json UNet2DConfig::to_json() const {
  Json j = {{"_class_name", "UNet2DModel"},
            {"_diffusers_version", "0.31.0"},
            {"sample_size", nullptr},
            {"in_channels", in_channels},
            {"out_channels", out_channels},
            {"center_input_sample", center_input_sample},
            {"time_embedding_type", time_embedding_type},
            {"freq_shift", freq_shift},
            {"flip_sin_to_cos", flip_sin_to_cos},
            {"down_block_types", down_block_types},
            {"up_block_types", up_block_types},
            {"block_out_channels", block_out_channels},
            {"layers_per_block", layers_per_block},
            {"mid_block_scale_factor", mid_block_scale_factor},
            {"downsample_padding", downsample_padding},
            {"downsample_type", downsample_type},
            {"upsample_type", upsample_type},
            {"dropout", dropout},
            {"act_fn", act_fn},
            {"attention_head_dim", or_null(attention_head_dim)},
            {"norm_num_groups", norm_num_groups},
            {"attn_norm_num_groups", or_null(attn_norm_num_groups)},
            {"norm_eps", norm_eps},
            {"resnet_time_scale_shift", resnet_time_scale_shift},
            {"add_attention", add_attention},
            {"class_embed_type", or_null(class_embed_type)},
            {"num_class_embeds", or_null(num_class_embeds)},
            {"num_train_timesteps", or_null(num_train_timesteps)}};
  if (sample_size) {
    const auto [height, width] = *sample_size;
    j["sample_size"] = height == width ? Json(height) : Json({height, width});
  }
  return j;
}

}  // namespace guda::worker
