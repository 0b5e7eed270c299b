#include "worker/models/unet2d_condition_config.hpp"

#include <doctest/doctest.h>

#include <string>

#include "common/error.hpp"

using guda::Json;
using guda::worker::UNet2DConditionConfig;

namespace {

std::string faults_of(const Json& json) {
  try {
    static_cast<void>(UNet2DConditionConfig::from_json(json, "here"));
  } catch (const guda::Error& e) {
    return e.what();
  }
  return "";
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("UNet2DCondition config: Stable Diffusion 2's reads, spreads over the blocks and is written back as it was") {
  const Json sd2 = {{"_class_name", "UNet2DConditionModel"},
                    {"act_fn", "silu"},
                    {"attention_head_dim", {5, 10, 20, 20}},
                    {"block_out_channels", {320, 640, 1280, 1280}},
                    {"center_input_sample", false},
                    {"cross_attention_dim", 1024},
                    {"dual_cross_attention", false},
                    {"only_cross_attention", false},
                    {"num_class_embeds", nullptr},
                    {"layers_per_block", 2},
                    {"sample_size", 96},
                    {"upcast_attention", true},
                    {"use_linear_projection", true}};
  const auto c = UNet2DConditionConfig::from_json(sd2);
  CHECK(c.cross_attention_dim == std::vector<std::uint32_t>(4, 1024));
  CHECK(c.layers_per_block == std::vector<std::uint32_t>(4, 2));
  const Json written = c.to_json();
  CHECK(UNet2DConditionConfig::from_json(written).to_json() == written);
  for (const auto& [key, value] : sd2.items()) {
    CAPTURE(key);
    if (key != "dual_cross_attention") CHECK(written.at(key) == value);
  }
}

TEST_CASE("UNet2DCondition config: everything that is wrong is said at once") {
  const std::string faults = faults_of({{"_class_name", "UNet2DModel"},
                                        {"block_out_channels", {32, 64}},
                                        {"addition_embed_type", "text_time"},
                                        {"conv_in_kernel", 5},
                                        {"down_block_types", {"DownBlock2D", "SkipDownBlock2D"}},
                                        {"only_cross_attention", "yes"},
                                        {"width", 3}});
  for (const char* part :
       {"here:", "_class_name", "addition_embed_type: \"text_time\" is not supported, only null", "conv_in_kernel",
        "SkipDownBlock2D", "only_cross_attention", "width: is not a key that UNet2DCondition supports"}) {
    CAPTURE(part);
    CHECK(has(faults, part));
  }
}

TEST_CASE("UNet2DCondition config: parts that do not fit each other are refused") {
  const Json base = {{"block_out_channels", {32, 64}},
                     {"down_block_types", {"CrossAttnDownBlock2D", "DownBlock2D"}},
                     {"up_block_types", {"UpBlock2D", "CrossAttnUpBlock2D"}}};
  const auto with = [&](const Json& more) {
    Json json = base;
    json.update(more);
    return faults_of(json);
  };
  CHECK(with(Json::object()).empty());
  CHECK(has(with({{"attention_head_dim", {8, 5}}}), "5 does not divide 64 channels of block 1"));
  CHECK(has(with({{"attention_head_dim", {8, 8, 8}}}), "3 entries for 2 blocks"));
  CHECK(has(with({{"up_block_types", {"UpBlock2D"}}}), "1 entries, but block_out_channels has 2"));
  CHECK(has(with({{"class_embed_type", "projection"}}), "needs it"));
  CHECK(has(with({{"projection_class_embeddings_input_dim", 4}}), "goes with class_embed_type"));
  CHECK(has(with({{"norm_num_groups", 5}}), "5 does not divide"));
}
