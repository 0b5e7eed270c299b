#include "worker/models/unet2d_config.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <initializer_list>
#include <limits>
#include <map>

#include "common/error.hpp"

namespace guda::worker {
namespace {

constexpr std::uint32_t kMaxChannels = 8192, kMaxLayers = 64, kMaxBlocks = 8, kMaxImage = 16384, kMaxClasses = 1U << 20;

/// A whole number from `low` to `high`. Json made in C++ holds signed integers where parsed Json holds unsigned ones.
std::optional<std::uint32_t> count_from(const Json& v, std::uint32_t low, std::uint32_t high) {
  if (!v.is_number_integer() || (!v.is_number_unsigned() && v.get<std::int64_t>() < 0)) return std::nullopt;
  const auto n = v.get<std::uint64_t>();
  if (n < low || n > high) return std::nullopt;
  return static_cast<std::uint32_t>(n);
}

/// Reads one key after the other and collects what is wrong instead of stopping at it.
class Reader {
 public:
  explicit Reader(const Json& json) : json_(json) {}

  void fault(const std::string& key, const std::string& what) { faults_.push_back(key + ": " + what); }
  [[nodiscard]] const std::vector<std::string>& faults() const { return faults_; }

  void flag(const char* key, bool& out) {
    with(key, [&](const Json& v) {
      if (v.is_boolean()) out = v.get<bool>();
      else fault(key, v.dump() + " is not true or false");
    });
  }
  void count(const char* key, std::uint32_t& out, std::uint32_t low, std::uint32_t high) {
    with(key, [&](const Json& v) { read_count(key, v, out, low, high); });
  }
  void count(const char* key, std::optional<std::uint32_t>& out, std::uint32_t low, std::uint32_t high) {
    with(key, [&](const Json& v) {
      std::uint32_t value = low;
      if (v.is_null()) out.reset();
      else if (read_count(key, v, value, low, high)) out = value;
    });
  }
  void number(const char* key, double& out, double low, double high) {
    with(key, [&](const Json& v) {
      if (v.is_number() && v.get<double>() >= low && v.get<double>() <= high) out = v.get<double>();
      else fault(key, fmt::format("{} is not a number from {} to {}", v.dump(), low, high));
    });
  }
  void choice(const char* key, std::string& out, std::initializer_list<const char*> known) {
    with(key, [&](const Json& v) { read_choice(key, v, out, known); });
  }
  void choice(const char* key, std::optional<std::string>& out, std::initializer_list<const char*> known) {
    with(key, [&](const Json& v) {
      std::string value;
      if (v.is_null()) out.reset();
      else if (read_choice(key, v, value, known)) out = value;
    });
  }
  void choices(const char* key, std::vector<std::string>& out, std::initializer_list<const char*> known) {
    with(key, [&](const Json& v) {
      if (!is_list(key, v)) return;
      out.assign(v.size(), *known.begin());
      for (std::size_t i = 0; i < v.size(); ++i) read_choice(key, v[i], out[i], known);
    });
  }
  void counts(const char* key, std::vector<std::uint32_t>& out, std::uint32_t low, std::uint32_t high) {
    with(key, [&](const Json& v) {
      if (!is_list(key, v)) return;
      out.assign(v.size(), low);
      for (std::size_t i = 0; i < v.size(); ++i) read_count(key, v[i], out[i], low, high);
    });
  }
  void with(const char* key, const std::function<void(const Json&)>& read) {
    known_.push_back(key);
    if (const auto found = json_.find(key); found != json_.end()) read(*found);
  }
  /// Call last: every key that no call above has asked for is a fault.
  void refuse_other_keys() {
    for (const auto& [key, value] : json_.items()) {
      if (!key.starts_with('_') && std::find(known_.begin(), known_.end(), key) == known_.end()) {
        fault(key, "is not a key that UNet2D supports");
      }
    }
  }

 private:
  bool read_count(const char* key, const Json& v, std::uint32_t& out, std::uint32_t low, std::uint32_t high) {
    const std::optional<std::uint32_t> n = count_from(v, low, high);
    if (n) out = *n;
    else fault(key, fmt::format("{} is not a whole number from {} to {}", v.dump(), low, high));
    return n.has_value();
  }
  bool read_choice(const char* key, const Json& v, std::string& out, std::initializer_list<const char*> known) {
    if (v.is_string() && std::find(known.begin(), known.end(), v.get_ref<const std::string&>()) != known.end()) {
      out = v.get<std::string>();
      return true;
    }
    fault(key, fmt::format("{} is not one of {}", v.dump(), fmt::join(known, ", ")));
    return false;
  }
  bool is_list(const char* key, const Json& v) {
    if (v.is_array() && !v.empty() && v.size() <= kMaxBlocks) return true;
    fault(key, fmt::format("is not a list of 1 to {} entries", kMaxBlocks));
    return false;
  }

  const Json& json_;
  std::vector<std::string> faults_;
  std::vector<std::string> known_;
};

void read_sample_size(Reader& r, UNet2DConfig& c) {
  r.with("sample_size", [&](const Json& v) {
    if (v.is_null()) {
      c.sample_size.reset();
      return;
    }
    const bool pair = v.is_array() && v.size() == 2;
    const auto height = count_from(pair ? v[0] : v, 1, kMaxImage), width = count_from(pair ? v[1] : v, 1, kMaxImage);
    if (height && width) c.sample_size = {*height, *width};
    else r.fault("sample_size", v.dump() + " is neither a size nor a pair of sizes");
  });
}

/// Dimensions that must divide each other; only looked at when the single values are sound.
void check_fit(Reader& r, const UNet2DConfig& c) {
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

template <class T>
Json or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

}  // namespace

UNet2DConfig UNet2DConfig::from_json(const Json& json, const std::string& where) {
  if (!json.is_object()) throw Error(where + ": is not an object of UNet2DModel's settings");
  UNet2DConfig c;
  Reader r(json);
  if (const auto name = json.find("_class_name"); name != json.end() && *name != "UNet2DModel") {
    r.fault("_class_name", name->dump() + " is not UNet2DModel");
  }
  read_sample_size(r, c);
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
  r.refuse_other_keys();
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
