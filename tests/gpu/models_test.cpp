#include <doctest/doctest.h>

#include <functional>
#include <string>

#include "tests/gpu/gpu.hpp"
#include "tests/support/tiny_study.hpp"
#include "tests/support/tiny_styles.hpp"
#include "worker/models/autoencoder_kl.hpp"
#include "worker/models/clip_text.hpp"
#include "worker/models/denoiser.hpp"

using namespace guda;
using namespace guda::worker;

namespace {

/// Output and gradients of all parameters of a model on a device, for a loss that weighs every number of the output.
std::vector<torch::Tensor> forward_and_backward(torch::nn::Module& model, torch::Device device,
                                                const std::function<torch::Tensor(torch::Device)>& call) {
  move_to(model, device);
  model.zero_grad();
  const torch::Tensor out = call(device);
  (out * draw_noise(SeedPath(77), 0, out.sizes()).to(device)).sum().backward();
  std::vector<torch::Tensor> all{out.detach().to(torch::kCPU)};
  for (const torch::Tensor& p : model.parameters()) {
    if (p.grad().defined()) all.push_back(p.grad().to(torch::kCPU));
  }
  return all;
}

void check_equal(torch::nn::Module& model, const std::function<torch::Tensor(torch::Device)>& call,
                 const std::string& dtype = "float32", double tolerance = 2e-4) {
  model.eval();
  const auto cpu = forward_and_backward(model, torch::kCPU, call);
  const auto gpu = forward_and_backward(model, test::gpu(dtype), call);
  REQUIRE(cpu.size() == gpu.size());
  for (std::size_t i = 0; i < cpu.size(); ++i) {
    CAPTURE(i);
    // Gradients that cancel to nothing (a bias before a norm) are compared with those of the whole model.
    const double scale = std::max(cpu[i].abs().max().item<double>(), 1e-3);
    CHECK((gpu[i] - cpu[i]).abs().max().item<double>() / scale < tolerance);
  }
}

Json cifar_like() {
  Json config = test::tiny_model();
  config["sample_size"] = 32;
  config["in_channels"] = config["out_channels"] = 3;
  config["block_out_channels"] = {64, 128};
  config["down_block_types"] = {"DownBlock2D", "AttnDownBlock2D"};
  config["up_block_types"] = {"AttnUpBlock2D", "UpBlock2D"};
  config["norm_num_groups"] = 32;
  config["add_attention"] = true;
  return config;
}

}  // namespace

TEST_CASE("gpu models: UNet2D, forward and every gradient") {
  for (const Json& config : {test::tiny_model(), cifar_like()}) {
    UNet2D model = make_unet2d(config, 3);
    const auto channels = config["in_channels"].get<std::int64_t>(), side = config["sample_size"].get<std::int64_t>();
    const auto call = [&](torch::Device d) {
      return model(draw_noise(SeedPath(1), 0, {4, channels, side, side}).to(d), torch::tensor({1, 20, 50, 99}).to(d),
                   torch::Tensor());
    };
    check_equal(*model, call);
  }
}

TEST_CASE("gpu models: TF32 products are near float32's, and only where they are allowed") {
  UNet2D model = make_unet2d(cifar_like(), 3);
  check_equal(
      *model,
      [&](torch::Device d) {
        return model(draw_noise(SeedPath(1), 0, {4, 3, 32, 32}).to(d), torch::tensor({1, 20, 50, 99}).to(d),
                     torch::Tensor());
      },
      "tf32", 5e-2);
}

TEST_CASE("gpu models: UNet2DCondition with texts") {
  UNet2DCondition model = make_unet2d_condition(test::tiny_text_model(), 4);
  check_equal(*model, [&](torch::Device d) {
    return model(draw_noise(SeedPath(1), 0, {3, 4, 8, 8}).to(d), torch::tensor({1, 20, 50}).to(d),
                 draw_noise(SeedPath(2), 0, {3, 8, 16}).to(d), torch::Tensor());
  });
}

TEST_CASE("gpu models: UNet2DCondition with classes") {
  UNet2DCondition model = test::tiny_guide();
  check_equal(*model, [&](torch::Device d) {
    return model(draw_noise(SeedPath(1), 0, {3, 1, 8, 8}).to(d), torch::tensor({1, 20, 50}).to(d), torch::Tensor(),
                 torch::eye(11).narrow(0, 2, 3).to(d));
  });
}

TEST_CASE("gpu models: AutoencoderKL, both ways") {
  AutoencoderKL model = make_autoencoder_kl({{"in_channels", 3},
                                             {"out_channels", 3},
                                             {"latent_channels", 4},
                                             {"block_out_channels", {16, 32}},
                                             {"down_block_types", {"DownEncoderBlock2D", "DownEncoderBlock2D"}},
                                             {"up_block_types", {"UpDecoderBlock2D", "UpDecoderBlock2D"}},
                                             {"layers_per_block", 1},
                                             {"norm_num_groups", 8}},
                                            5);
  check_equal(*model, [&](torch::Device d) {
    return model->decode(model->encode(draw_noise(SeedPath(1), 0, {2, 3, 16, 16}).to(d)).mean);
  });
}

TEST_CASE("gpu models: CLIP's text encoder") {
  ClipTextConfig config;
  config.vocab_size = 100;
  config.eos_token_id = 99;
  config.max_position_embeddings = 8;
  config.hidden_size = 32;
  config.intermediate_size = 64;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 4;
  ClipText model = make_clip_text(config, 16, 6);
  check_equal(*model, [&](torch::Device d) {
    return model->project(
        model(torch::tensor({{98, 5, 6, 99, 99, 99, 99, 99}, {98, 7, 99, 99, 99, 99, 99, 99}}).to(d)).pooler_output);
  });
}
