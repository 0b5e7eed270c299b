#include "worker/models/autoencoder_kl_config.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "common/error.hpp"
#include "worker/models/config_reader.hpp"

namespace guda::worker {
namespace {

/// Only looked at when the single values are sound.
void check_blocks(ConfigReader& r, const AutoencoderKLConfig& c) {
  const std::size_t blocks = c.block_out_channels.size();
  for (const auto& [key, size] :
       {std::pair{"down_block_types", c.down_block_types.size()}, {"up_block_types", c.up_block_types.size()}}) {
    if (size != blocks) r.fault(key, fmt::format("{} entries, but block_out_channels has {}", size, blocks));
  }
  for (const std::uint32_t channels : c.block_out_channels) {
    if (channels % c.norm_num_groups != 0)
      r.fault("norm_num_groups", fmt::format("{} does not divide {} channels", c.norm_num_groups, channels));
  }
}

}  // namespace

AutoencoderKLConfig AutoencoderKLConfig::from_json(const Json& json, const std::string& where) {
  if (!json.is_object()) throw Error(where + ": is not an object of AutoencoderKL's settings");
  AutoencoderKLConfig c;
  std::optional<std::array<std::uint32_t, 2>> size = c.sample_size;
  ConfigReader r(json);
  r.class_name("AutoencoderKL");
  r.count("in_channels", c.in_channels, 1, kMaxChannels);
  r.count("out_channels", c.out_channels, 1, kMaxChannels);
  r.choices("down_block_types", c.down_block_types, {"DownEncoderBlock2D"});
  r.choices("up_block_types", c.up_block_types, {"UpDecoderBlock2D"});
  r.counts("block_out_channels", c.block_out_channels, 1, kMaxChannels);
  r.count("layers_per_block", c.layers_per_block, 1, kMaxLayers);
  r.choice("act_fn", c.act_fn, {"silu", "swish", "mish", "gelu", "relu"});
  r.count("latent_channels", c.latent_channels, 1, kMaxChannels);
  r.count("norm_num_groups", c.norm_num_groups, 1, kMaxChannels);
  r.image_size("sample_size", size);
  r.number("scaling_factor", c.scaling_factor, 1e-6, 1e6);
  r.flag("force_upcast", c.force_upcast);
  r.flag("use_quant_conv", c.use_quant_conv);
  r.flag("use_post_quant_conv", c.use_post_quant_conv);
  r.flag("mid_block_add_attention", c.mid_block_add_attention);
  for (const char* key : {"shift_factor", "latents_mean", "latents_std"}) r.only(key, nullptr);
  r.refuse_other_keys("AutoencoderKL");
  if (size) c.sample_size = *size;
  else r.fault("sample_size", "null is neither a size nor a pair of sizes");
  if (r.faults().empty()) check_blocks(r, c);
  if (!r.faults().empty()) throw Error(fmt::format("{}:\n  {}", where, fmt::join(r.faults(), "\n  ")));
  return c;
}

Json AutoencoderKLConfig::to_json() const {
  const auto [height, width] = sample_size;
  return {{"_class_name", "AutoencoderKL"},
          {"_diffusers_version", "0.31.0"},
          {"in_channels", in_channels},
          {"out_channels", out_channels},
          {"down_block_types", down_block_types},
          {"up_block_types", up_block_types},
          {"block_out_channels", block_out_channels},
          {"layers_per_block", layers_per_block},
          {"act_fn", act_fn},
          {"latent_channels", latent_channels},
          {"norm_num_groups", norm_num_groups},
          {"sample_size", height == width ? Json(height) : Json({height, width})},
          {"scaling_factor", scaling_factor},
          {"force_upcast", force_upcast},
          {"use_quant_conv", use_quant_conv},
          {"use_post_quant_conv", use_post_quant_conv},
          {"mid_block_add_attention", mid_block_add_attention}};
}

}  // namespace guda::worker
