#include "jobs/cost.hpp"

#include <doctest/doctest.h>

#include "jobs/guide_model.hpp"

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

TEST_CASE("cost: parameters are those of the models that were counted") {
  const Json digits =
      Json::parse(R"({"sample_size": 8, "in_channels": 1, "out_channels": 1, "block_out_channels": [16, 32],
    "layers_per_block": 1, "down_block_types": ["DownBlock2D", "DownBlock2D"], "up_block_types": ["UpBlock2D", "UpBlock2D"],
    "add_attention": false})");
  CHECK(unet2d_parameters(digits) == 159'697);  // jobs/recipes/digits.yaml
  const Json cifar = Json::parse(R"({"sample_size": 32, "in_channels": 3, "out_channels": 3, "layers_per_block": 3,
    "block_out_channels": [128, 256, 256, 256],
    "down_block_types": ["DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"]})");
  CHECK(unet2d_parameters(cifar) == 49'062'787);  // methods.md 1.1
  Experiment e;
  e.model = cifar;
  e.guide.block_out_channels = {128, 256, 256, 512};
  CHECK(unet2d_parameters(guide_model(e, 10)) == 96'611'715);  // methods.md 3.1, counted by diffusers
  const Json sd15{{"_class_name", "UNet2DConditionModel"}, {"sample_size", 64}, {"cross_attention_dim", 768}};
  CHECK(unet2d_parameters(sd15) == 859'520'964);  // Stable Diffusion 1.5
  const Json vae{{"_class_name", "AutoencoderKL"},
                 {"in_channels", 3},
                 {"out_channels", 3},
                 {"latent_channels", 4},
                 {"layers_per_block", 2},
                 {"sample_size", 512},
                 {"block_out_channels", {128, 256, 512, 512}}};
  CHECK(unet2d_parameters(vae) == 83'653'863);  // its autoencoder
}

TEST_CASE("cost: a job's memory grows with its batch, and scoring keeps less of an image than training") {
  const Json digits =
      Json::parse(R"({"sample_size": 8, "in_channels": 1, "out_channels": 1, "block_out_channels": [16, 32],
    "layers_per_block": 1, "down_block_types": ["DownBlock2D", "DownBlock2D"], "up_block_types": ["UpBlock2D", "UpBlock2D"],
    "add_attention": false})");
  const Activations a = unet2d_activations(digits);
  CHECK(a.forward < a.backward / 3);
  TrainSpec train;
  train.model = digits;
  train.training.batch = 64;
  const double small = job_memory({{}, "", train, {}, 0, {}}, digits);
  train.training.batch = 128;
  CHECK(job_memory({{}, "", train, {}, 0, {}}, digits) - small == doctest::Approx(64 * 4 * a.backward));
}

TEST_CASE("cost: a member of a gang keeps the activations of its share, and one gradient more") {
  const Json digits =
      Json::parse(R"({"sample_size": 8, "in_channels": 1, "out_channels": 1, "block_out_channels": [16, 32],
    "layers_per_block": 1, "down_block_types": ["DownBlock2D", "DownBlock2D"], "up_block_types": ["UpBlock2D", "UpBlock2D"],
    "add_attention": false})");
  TrainSpec train;
  train.model = digits;
  train.training.batch = 64;
  const double alone = job_memory({{}, "", train, {}, 0, {}}, digits);
  train.gang = 4;
  const double member = job_memory({{}, "", train, {}, 0, {}}, digits);
  const double images = 4 * unet2d_activations(digits).backward;
  CHECK(alone - member == doctest::Approx(48 * images - 4 * unet2d_parameters(digits)));
  CHECK(gang_training_seconds(digits, train.training, 1) ==
        doctest::Approx(training_seconds(digits, double(train.training.steps) * 64)));
}

}  // namespace guda::jobs
