#include "jobs/memory.hpp"

#include <doctest/doctest.h>

#include "jobs/guide_model.hpp"
#include "jobs/pipeline_folder.hpp"

namespace guda::jobs {

namespace {

const Json& sd15() {
  static const Json config{{"_class_name", "UNet2DConditionModel"}, {"sample_size", 64}, {"cross_attention_dim", 768}};
  return config;
}

ParametersConfig kind(const char* name, std::uint32_t rank = 4) {
  ParametersConfig parameters;
  parameters.kind = name;
  parameters.rank = rank;
  return parameters;
}

}  // namespace

TEST_CASE("memory: parameters are those of the models that were counted") {
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

TEST_CASE("memory: a job's grows with its batch, and scoring keeps less of an image than training") {
  const Json digits =
      Json::parse(R"({"sample_size": 8, "in_channels": 1, "out_channels": 1, "block_out_channels": [16, 32],
    "layers_per_block": 1, "down_block_types": ["DownBlock2D", "DownBlock2D"], "up_block_types": ["UpBlock2D", "UpBlock2D"],
    "add_attention": false})");
  const Activations a = unet2d_activations(digits);
  CHECK(a.forward < a.backward / 3);
  Experiment experiment;
  TrainSpec train;
  train.model = experiment.model = digits;
  train.training.batch = 64;
  const double small = job_memory({{}, "", train, {}, 0, {}}, experiment);
  train.training.batch = 128;
  CHECK(job_memory({{}, "", train, {}, 0, {}}, experiment) - small == doctest::Approx(64 * 4 * a.backward));
}

TEST_CASE("memory: a member of a gang keeps the activations of its share, and one gradient more") {
  const Json digits =
      Json::parse(R"({"sample_size": 8, "in_channels": 1, "out_channels": 1, "block_out_channels": [16, 32],
    "layers_per_block": 1, "down_block_types": ["DownBlock2D", "DownBlock2D"], "up_block_types": ["UpBlock2D", "UpBlock2D"],
    "add_attention": false})");
  Experiment experiment;
  TrainSpec train;
  train.model = experiment.model = digits;
  train.training.batch = 64;
  const double alone = job_memory({{}, "", train, {}, 0, {}}, experiment);
  train.gang = 4;
  const double member = job_memory({{}, "", train, {}, 0, {}}, experiment);
  const double images = 4 * unet2d_activations(digits).backward;
  CHECK(alone - member == doctest::Approx(48 * images - 4 * unet2d_parameters(digits)));
}

TEST_CASE("memory: a LoRA of rank 4 of Stable Diffusion 1.5 has the 797,184 numbers that peft counts") {
  CHECK(trained_parameters(sd15(), kind("lora")) == 797'184);
  CHECK(trained_parameters(sd15(), kind("lora", 8)) == 2 * 797'184);
  CHECK(trained_parameters(sd15(), kind("all")) == 859'520'964);
  // Of 16 transformers of 320, 640 and 1,280 channels, five, five and six; text of width 768.
  double projections = 0;
  for (const auto& [channels, count] : {std::pair{320.0, 5}, {640.0, 5}, {1280.0, 6}})
    projections += count * (6 * channels * channels + 2 * 768 * channels + 2 * channels);
  CHECK(trained_parameters(sd15(), kind("attention")) == projections);
}

TEST_CASE("memory: optimizer state is kept of what is trained only, and a teacher shares what is not") {
  Experiment e;
  e.model = sd15();
  TrainSpec train;
  train.model = e.model;
  train.training.batch = 1;
  const auto needed = [&](const Work& work) { return job_memory({{}, "", work, {}, 0, {}}, e); };
  const double all = needed(train), weights = 4 * unet2d_parameters(e.model);
  train.training.parameters = kind("lora");
  const double trained = 4 * trained_parameters(e.model, train.training.parameters);
  CHECK(all - needed(train) == doctest::Approx(4 * weights - 5 * trained));  // the pairs themselves, too
  train.training.ema_max_decay = 0;
  CHECK(all - needed(train) == doctest::Approx(4 * weights - 4 * trained));

  UnlearnSpec unlearn;
  unlearn.unlearn.op = "guda_c";
  const double both = needed(unlearn);
  unlearn.unlearn.op = "siss";
  CHECK(both - needed(unlearn) == doctest::Approx(weights));
  unlearn.unlearn.op = "guda_c";
  unlearn.unlearn.parameters = kind("attention");
  CHECK(both - needed(unlearn) ==
        doctest::Approx(4 * weights - 4 * 4 * trained_parameters(e.model, unlearn.unlearn.parameters)));
}

TEST_CASE("memory: gradient checkpointing keeps a fifth of the activations of Stable Diffusion or less") {
  const Activations a = unet2d_activations(sd15());
  CHECK(a.recomputed < 0.2 * a.backward);
  CHECK(a.recomputed > a.forward / 4);
  Experiment e;
  e.model = sd15();
  TrainSpec train;
  train.model = e.model;
  train.training.batch = 4;
  const JobSpec job{{}, "", train, {}, 0, {}};
  const double kept = job_memory(job, e);
  e.resources.gradient_checkpointing = true;
  CHECK(kept - job_memory(job, e) == doctest::Approx(4 * 4 * (a.backward - a.recomputed)));
}

TEST_CASE("job memory: keys that diffusers writes as null are not set") {
  Json nulls = sd15();
  for (const char* key : {"class_embed_type", "num_class_embeds", "projection_class_embeddings_input_dim"})
    nulls[key] = nullptr;
  CHECK(unet2d_parameters(nulls) == unet2d_parameters(sd15()));
  CHECK(unet2d_macs(nulls) == unet2d_macs(sd15()));
  nulls["mid_block_type"] = nullptr;  // here it means: no middle block
  CHECK(unet2d_parameters(nulls) < unet2d_parameters(sd15()));
}

TEST_CASE("job memory: an autoencoder keeps its activations, whatever the model of the experiment does") {
  Experiment e;
  TrainSpec train;
  train.model = stable_diffusion_autoencoder();
  train.training.batch = 2;
  const JobSpec job{{}, "", train, {}, 0, {}};
  const double kept = job_memory(job, e);
  e.resources.gradient_checkpointing = true;
  CHECK(job_memory(job, e) == kept);
}

}  // namespace guda::jobs
