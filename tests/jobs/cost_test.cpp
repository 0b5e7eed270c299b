#include "jobs/cost.hpp"

#include <doctest/doctest.h>

#include "jobs/memory.hpp"

namespace guda::jobs {

TEST_CASE("cost: multiply-accumulates of the paper's CIFAR UNet match the hand count of 8.38 G (methods.md 1.1)") {
  const Json cifar = Json::parse(R"({"sample_size": 32, "in_channels": 3, "out_channels": 3, "layers_per_block": 3,
    "block_out_channels": [128, 256, 256, 256],
    "down_block_types": ["DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"]})");
  CHECK(unet2d_macs(cifar) == doctest::Approx(8.38e9).epsilon(0.005));
}

TEST_CASE("cost: training an image costs three forwards") {
  const Json config =
      Json::parse(R"({"sample_size": 8, "in_channels": 1, "out_channels": 1, "block_out_channels": [16, 32],
    "layers_per_block": 1, "down_block_types": ["DownBlock2D", "DownBlock2D"], "up_block_types": ["UpBlock2D", "UpBlock2D"],
    "add_attention": false})");
  CHECK(training_seconds(config, 10) == doctest::Approx(3 * forward_seconds(config, 10)));
  CHECK(unet2d_macs(config) == doctest::Approx(3.75e6).epsilon(0.05));
}

TEST_CASE("cost: training attention or a LoRA saves most products with weights, recomputing costs a forward") {
  const Json sd15{{"_class_name", "UNet2DConditionModel"}, {"sample_size", 64}, {"cross_attention_dim", 768}};
  ParametersConfig some;
  const double forward = forward_seconds(sd15, 1), all = training_seconds(sd15, 1, kClipTokens, some);
  CHECK(all == doctest::Approx(3 * forward));
  CHECK(training_seconds(sd15, 1, kClipTokens, some, /*recomputed=*/true) == doctest::Approx(4 * forward));
  some.kind = "attention";
  const double attention = training_seconds(sd15, 1, kClipTokens, some);
  some.kind = "lora";
  const double lora = training_seconds(sd15, 1, kClipTokens, some);
  CHECK(lora > 2 * forward);
  CHECK(lora < 2.05 * forward);
  CHECK(attention > 2 * forward);
  CHECK(attention < 2.2 * forward);
}

TEST_CASE("cost: a gang shares every batch and adds up the gradients of what is trained") {
  const Json digits =
      Json::parse(R"({"sample_size": 8, "in_channels": 1, "out_channels": 1, "block_out_channels": [16, 32],
    "layers_per_block": 1, "down_block_types": ["DownBlock2D", "DownBlock2D"], "up_block_types": ["UpBlock2D", "UpBlock2D"],
    "add_attention": false})");
  TrainingConfig training;
  training.batch = 64;
  ResourcesConfig resources;
  CHECK(gang_training_seconds(digits, training, resources) ==
        doctest::Approx(training_seconds(digits, double(training.steps) * 64)));
  resources.gang = 4;
  CHECK(gang_training_seconds(digits, training, resources) ==
        doctest::Approx(training_seconds(digits, double(training.steps) * 16) +
                        training.steps * unet2d_parameters(digits) * 4 / kAssumedReduced));
}

}  // namespace guda::jobs
