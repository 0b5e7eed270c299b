#include "worker/models/unet2d_condition_config.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "common/error.hpp"
#include "worker/models/config_reader.hpp"

namespace guda::worker {
namespace {

void read_only_cross_attention(ConfigReader& r, std::vector<bool>& out) {
  r.with("only_cross_attention", [&](const Json& v) {
    const bool list = v.is_array() && !v.empty() && v.size() <= kMaxBlocks;
    std::vector<bool> values;
    for (const Json& one : list ? v : Json::array({v})) {
      if (!one.is_boolean())
        return r.fault("only_cross_attention", v.dump() + " is neither true or false nor a list of them");
      values.push_back(one.get<bool>());
    }
    out = values;
  });
}

/// Keys that other families of models use: known, with the value that means "not used".
void read_unused(ConfigReader& r) {
  for (const char* key :
       {"reverse_transformer_layers_per_block", "encoder_hid_dim", "encoder_hid_dim_type", "num_attention_heads",
        "addition_embed_type", "addition_time_embed_dim", "time_embedding_dim", "time_embedding_act_fn",
        "timestep_post_act", "time_cond_proj_dim", "cross_attention_norm", "mid_block_only_cross_attention"}) {
    r.only(key, nullptr);
  }
  for (const char* key : {"dual_cross_attention", "resnet_skip_time_act", "class_embeddings_concat"})
    r.only(key, false);
  r.only("resnet_out_scale_factor", 1.0);
  r.only("time_embedding_type", "positional");
  r.only("attention_type", "default");
  r.only("conv_in_kernel", 3);
  r.only("conv_out_kernel", 3);
  r.with("addition_embed_type_num_heads", [](const Json&) {});  // of an addition embedding, which there is none
}

template <class T>
void spread(ConfigReader& r, const char* key, std::vector<T>& values, std::size_t blocks) {
  if (values.size() == 1) values.assign(blocks, values.front());
  if (values.size() != blocks) r.fault(key, fmt::format("{} entries for {} blocks", values.size(), blocks));
}

/// Dimensions that must fit each other; only looked at when the single values are sound.
void check_fit(ConfigReader& r, UNet2DConditionConfig& c) {
  const std::size_t blocks = c.block_out_channels.size();
  for (const auto& [key, size] :
       {std::pair{"down_block_types", c.down_block_types.size()}, {"up_block_types", c.up_block_types.size()}}) {
    if (size != blocks) r.fault(key, fmt::format("{} entries, but block_out_channels has {}", size, blocks));
  }
  spread(r, "only_cross_attention", c.only_cross_attention, blocks);
  spread(r, "layers_per_block", c.layers_per_block, blocks);
  spread(r, "cross_attention_dim", c.cross_attention_dim, blocks);
  spread(r, "transformer_layers_per_block", c.transformer_layers_per_block, blocks);
  spread(r, "attention_head_dim", c.attention_head_dim, blocks);
  if (!r.faults().empty()) return;
  for (std::size_t i = 0; i < blocks; ++i) {
    const std::uint32_t channels = c.block_out_channels[i], heads = c.attention_head_dim[i];
    if (channels % c.norm_num_groups != 0)
      r.fault("norm_num_groups", fmt::format("{} does not divide {} channels", c.norm_num_groups, channels));
    const bool attends = c.down_block_types[i] != "DownBlock2D" || c.up_block_types[blocks - 1 - i] != "UpBlock2D" ||
                         (i + 1 == blocks && c.mid_block_type == "UNetMidBlock2DCrossAttn");
    if (attends && channels % heads != 0)
      r.fault("attention_head_dim", fmt::format("{} does not divide {} channels of block {}", heads, channels, i));
  }
  if (static_cast<double>(c.block_out_channels.front() / 2) <= c.freq_shift) {
    r.fault("freq_shift", fmt::format("{} is not below half of the {} channels of the first block", c.freq_shift,
                                      c.block_out_channels.front()));
  }
  const bool projects = c.class_embed_type == "projection" || c.class_embed_type == "simple_projection";
  if (projects != c.projection_class_embeddings_input_dim.has_value()) {
    r.fault("projection_class_embeddings_input_dim",
            projects ? "is missing: class_embed_type " + *c.class_embed_type + " needs it"
                     : "goes with class_embed_type projection or simple_projection only");
  }
}

/// One number where all blocks agree, as diffusers writes it.
template <class T>
Json one_or_list(const std::vector<T>& values) {
  for (const auto& value : values) {
    if (value != values.front()) return values;
  }
  return T(values.front());
}

}  // namespace

UNet2DConditionConfig UNet2DConditionConfig::from_json(const Json& json, const std::string& where) {
  if (!json.is_object()) throw Error(where + ": is not an object of UNet2DConditionModel's settings");
  UNet2DConditionConfig c;
  ConfigReader r(json);
  r.class_name("UNet2DConditionModel");
  r.image_size("sample_size", c.sample_size);
  r.count("in_channels", c.in_channels, 1, kMaxChannels);
  r.count("out_channels", c.out_channels, 1, kMaxChannels);
  r.flag("center_input_sample", c.center_input_sample);
  r.flag("flip_sin_to_cos", c.flip_sin_to_cos);
  r.number("freq_shift", c.freq_shift, 0, kMaxChannels);
  r.choices("down_block_types", c.down_block_types, {"DownBlock2D", "AttnDownBlock2D", "CrossAttnDownBlock2D"});
  r.choice("mid_block_type", c.mid_block_type, {"UNetMidBlock2DCrossAttn", "UNetMidBlock2D"});
  r.choices("up_block_types", c.up_block_types, {"UpBlock2D", "AttnUpBlock2D", "CrossAttnUpBlock2D"});
  read_only_cross_attention(r, c.only_cross_attention);
  r.counts("block_out_channels", c.block_out_channels, 2, kMaxChannels);
  r.count_or_counts("layers_per_block", c.layers_per_block, 1, kMaxLayers);
  r.count("downsample_padding", c.downsample_padding, 0, 1);
  r.number("mid_block_scale_factor", c.mid_block_scale_factor, 1e-6, 1e6);
  r.number("dropout", c.dropout, 0, 1);
  r.choice("act_fn", c.act_fn, {"silu", "swish", "mish", "gelu", "relu"});
  r.count("norm_num_groups", c.norm_num_groups, 1, kMaxChannels);
  r.number("norm_eps", c.norm_eps, 0, 1);
  r.count_or_counts("cross_attention_dim", c.cross_attention_dim, 1, kMaxChannels);
  r.count_or_counts("transformer_layers_per_block", c.transformer_layers_per_block, 1, kMaxLayers);
  r.count_or_counts("attention_head_dim", c.attention_head_dim, 1, kMaxChannels);
  r.flag("use_linear_projection", c.use_linear_projection);
  r.choice("class_embed_type", c.class_embed_type, {"timestep", "identity", "projection", "simple_projection"});
  r.count("num_class_embeds", c.num_class_embeds, 1, kMaxClasses);
  r.count("projection_class_embeddings_input_dim", c.projection_class_embeddings_input_dim, 1, kMaxChannels);
  r.flag("upcast_attention", c.upcast_attention);
  r.choice("resnet_time_scale_shift", c.resnet_time_scale_shift, {"default", "scale_shift"});
  read_unused(r);
  r.refuse_other_keys("UNet2DCondition");
  if (r.faults().empty()) check_fit(r, c);
  if (!r.faults().empty()) throw Error(fmt::format("{}:\n  {}", where, fmt::join(r.faults(), "\n  ")));
  return c;
}

Json UNet2DConditionConfig::to_json() const {
  Json j = {{"_class_name", "UNet2DConditionModel"},
            {"_diffusers_version", "0.31.0"},
            {"sample_size", nullptr},
            {"in_channels", in_channels},
            {"out_channels", out_channels},
            {"center_input_sample", center_input_sample},
            {"flip_sin_to_cos", flip_sin_to_cos},
            {"freq_shift", freq_shift},
            {"down_block_types", down_block_types},
            {"mid_block_type", or_null(mid_block_type)},
            {"up_block_types", up_block_types},
            {"only_cross_attention", one_or_list(only_cross_attention)},
            {"block_out_channels", block_out_channels},
            {"layers_per_block", one_or_list(layers_per_block)},
            {"downsample_padding", downsample_padding},
            {"mid_block_scale_factor", mid_block_scale_factor},
            {"dropout", dropout},
            {"act_fn", act_fn},
            {"norm_num_groups", norm_num_groups},
            {"norm_eps", norm_eps},
            {"cross_attention_dim", one_or_list(cross_attention_dim)},
            {"transformer_layers_per_block", one_or_list(transformer_layers_per_block)},
            {"attention_head_dim", one_or_list(attention_head_dim)},
            {"use_linear_projection", use_linear_projection},
            {"class_embed_type", or_null(class_embed_type)},
            {"num_class_embeds", or_null(num_class_embeds)},
            {"projection_class_embeddings_input_dim", or_null(projection_class_embeddings_input_dim)},
            {"upcast_attention", upcast_attention},
            {"resnet_time_scale_shift", resnet_time_scale_shift}};
  if (sample_size) {
    const auto [height, width] = *sample_size;
    j["sample_size"] = height == width ? Json(height) : Json({height, width});
  }
  return j;
}

}  // namespace guda::worker
