#include "worker/models/unet2d_config.hpp"

#include <doctest/doctest.h>

#include "common/error.hpp"

using guda::Json;
using guda::worker::UNet2DConfig;

namespace {

std::string faults_of(const Json& json) {
  try {
    static_cast<void>(UNet2DConfig::from_json(json, "here"));
  } catch (const guda::Error& e) {
    return e.what();
  }
  return "";
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("UNet2D config: an empty one has diffusers' defaults") {
  const UNet2DConfig c = UNet2DConfig::from_json(Json::object());
  CHECK(c.block_out_channels == std::vector<std::uint32_t>{224, 448, 672, 896});
  CHECK(c.down_block_types.front() == "DownBlock2D");
  CHECK(c.up_block_types.back() == "UpBlock2D");
  CHECK(c.layers_per_block == 2);
  CHECK(c.attention_head_dim == 8U);
  CHECK(c.norm_num_groups == 32);
  CHECK(c.norm_eps == 1e-5);
  CHECK(c.flip_sin_to_cos);
  CHECK(c.freq_shift == 0);
  CHECK(c.add_attention);
  CHECK_FALSE(c.sample_size);
  CHECK_FALSE(c.has_class_embedding());
}

TEST_CASE("UNet2D config: what is written reads back the same") {
  const Json given = {{"_class_name", "UNet2DModel"},
                      {"_name_or_path", "x"},
                      {"sample_size", {8, 12}},
                      {"block_out_channels", {16, 32}},
                      {"down_block_types", {"DownBlock2D", "AttnDownBlock2D"}},
                      {"up_block_types", {"AttnUpBlock2D", "UpBlock2D"}},
                      {"attention_head_dim", nullptr},
                      {"norm_num_groups", 8},
                      {"class_embed_type", "identity"},
                      {"act_fn", "mish"},
                      {"dropout", 0.25}};
  const Json written = UNet2DConfig::from_json(given).to_json();
  CHECK(UNet2DConfig::from_json(written).to_json() == written);
  for (const auto& [key, value] : given.items()) {
    CAPTURE(key);
    if (key != "_name_or_path") CHECK(written.at(key) == value);
  }
}

TEST_CASE("UNet2D config: all faults are listed at once, by key") {
  const std::string what = faults_of({{"_class_name", "UNet2DConditionModel"},
                                      {"cross_attention_dim", 768},
                                      {"mid_block_type", "UNetMidBlock2D"},
                                      {"act_fn", "tanh"},
                                      {"time_embedding_type", "learned"},
                                      {"dropout", 2},
                                      {"in_channels", -1},
                                      {"norm_num_groups", "many"},
                                      {"add_attention", 1},
                                      {"down_block_types", {"SkipDownBlock2D"}},
                                      {"block_out_channels", {100000}},
                                      {"layers_per_block", 65},
                                      {"downsample_padding", 2},
                                      {"sample_size", {1, 2, 3}}});
  for (const char* part :
       {"here:", "_class_name: \"UNet2DConditionModel\" is not UNet2DModel", "cross_attention_dim: is not a key",
        "mid_block_type: is not a key", "act_fn: \"tanh\" is not one of silu, swish, mish, gelu, relu",
        "time_embedding_type: \"learned\" is not one of positional, fourier", "dropout: 2", "in_channels: -1",
        "norm_num_groups: \"many\"", "add_attention: 1 is not true or false", "down_block_types: \"SkipDownBlock2D\"",
        "block_out_channels: 100000", "layers_per_block: 65", "downsample_padding: 2", "sample_size: [1,2,3]"}) {
    CAPTURE(part);
    CHECK(has(what, part));
  }
}

TEST_CASE("UNet2D config: sizes that do not fit each other are refused") {
  const Json two = {{"block_out_channels", {16, 32}},
                    {"norm_num_groups", 8},
                    {"down_block_types", {"DownBlock2D", "DownBlock2D"}},
                    {"up_block_types", {"UpBlock2D", "UpBlock2D"}}};
  CHECK(faults_of(two) == "");
  const auto changed = [&](const char* key, const Json& value) {
    Json j = two;
    j[key] = value;
    return faults_of(j);
  };
  CHECK(has(changed("up_block_types", Json::array({"UpBlock2D"})), "2 down_block_types and 1 up_block_types"));
  CHECK(has(changed("norm_num_groups", 12), "12 does not divide 16 channels"));
  CHECK(has(changed("attn_norm_num_groups", 5), "5 does not divide 32 channels"));
  CHECK(has(changed("attention_head_dim", 64), "64 exceeds the 32 channels of the mid block"));
  CHECK(has(changed("freq_shift", 8), "freq_shift"));
  CHECK(has(faults_of(Json::array()), "is not an object"));
}
