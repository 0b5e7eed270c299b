#include "worker/attribution/sample_gradients.hpp"

#include <doctest/doctest.h>

#include "common/error.hpp"
#include "tests/support/tiny_study.hpp"

using namespace guda;
using namespace guda::worker;

namespace {

struct Batch {
  torch::Tensor images, timesteps, noise;
  explicit Batch(std::int64_t rows, std::int64_t channels = 1) {
    torch::manual_seed(5);
    images = torch::randn({rows, channels, 8, 8});
    noise = torch::randn({rows, channels, 8, 8});
    timesteps = torch::arange(rows) * 7 % 100;
  }
  [[nodiscard]] torch::Tensor losses(UNet2D& model) const {
    return (model->forward(images, timesteps) - noise).square().flatten(1).mean(1);
  }
  [[nodiscard]] Batch row(std::int64_t i) const {
    Batch one(1);
    one.images = images.narrow(0, i, 1);
    one.timesteps = timesteps.narrow(0, i, 1);
    one.noise = noise.narrow(0, i, 1);
    return one;
  }
};

/// One row at a time by autograd: [rows, weights].
torch::Tensor one_by_one(UNet2D& model, const Batch& batch) {
  std::vector<torch::Tensor> rows;
  for (std::int64_t i = 0; i < batch.images.size(0); ++i) {
    std::vector<torch::Tensor> parts, trained;
    for (const torch::Tensor& p : model->parameters()) {
      if (p.requires_grad()) trained.push_back(p);
    }
    for (const torch::Tensor& g : torch::autograd::grad({batch.row(i).losses(model).sum()}, trained))
      parts.push_back(g.flatten());
    rows.push_back(torch::cat(parts));
  }
  return torch::stack(rows);
}

double relative_error(const torch::Tensor& a, const torch::Tensor& b) {
  return ((a - b).norm() / b.norm()).item<double>();
}

Json with(Json model, const Json& changes) {
  model.update(changes);
  return model;
}

}  // namespace

TEST_CASE("gradients of single images are those of autograd, image by image, for every layer of a UNet2D") {
  const Json plain = test::tiny_model();
  const std::vector<Json> models{
      plain,
      with(plain, {{"down_block_types", {"DownBlock2D", "AttnDownBlock2D"}},
                   {"up_block_types", {"AttnUpBlock2D", "UpBlock2D"}},
                   {"attention_head_dim", 4},
                   {"add_attention", true}}),
      with(plain, {{"resnet_time_scale_shift", "scale_shift"}, {"layers_per_block", 2}}),
      with(plain, {{"down_block_types", {"AttnDownBlock2D", "DownBlock2D"}},
                   {"up_block_types", {"UpBlock2D", "AttnUpBlock2D"}},
                   {"downsample_type", "resnet"},
                   {"upsample_type", "resnet"},
                   {"act_fn", "mish"},
                   {"downsample_padding", 0}}),
      with(plain, {{"block_out_channels", {80, 80}}, {"norm_num_groups", 8}}),  // too wide for our own kernels
  };
  for (const Json& config : models) {
    CAPTURE(config.dump());
    UNet2D model = make_unet2d(config, 3);
    model->eval();
    const Batch batch(6);
    const torch::Tensor expected = one_by_one(model, batch);
    SampleGradients gradients(model);
    REQUIRE(gradients.weights() == expected.size(1));
    const torch::Tensor got = gradients.matrix(6, 1, [&] { return batch.losses(model); });
    for (std::int64_t i = 0; i < 6; ++i) CHECK(relative_error(got[i], expected[i]) < 1e-5);
    // Rows of one sample arrive summed.
    const torch::Tensor pairs = gradients.matrix(3, 2, [&] { return batch.losses(model); });
    CHECK(relative_error(pairs, expected.view({3, 2, -1}).sum(1)) < 1e-5);
    const torch::Tensor lengths = gradients.squared_lengths(6, [&] { return batch.losses(model); });
    CHECK(relative_error(lengths, expected.square().sum(1).to(torch::kFloat64)) < 1e-5);
  }
}

TEST_CASE("gradients of single images leave a model as it was: trainable, without gradients, same outputs") {
  UNet2D model = make_unet2d(test::tiny_model(), 3);
  model->eval();
  const Batch batch(4);
  const torch::Tensor before = batch.losses(model).detach();
  {
    SampleGradients gradients(model);
    (void)gradients.matrix(4, 1, [&] { return batch.losses(model); });
  }
  for (const torch::Tensor& p : model->parameters()) {
    CHECK(p.requires_grad());
    CHECK_FALSE(p.grad().defined());
  }
  CHECK(torch::equal(batch.losses(model).detach(), before));
}

TEST_CASE("gradients of single images: a layer that can't tell is refused, not left at zero") {
  UNet2D model = make_unet2d(with(test::tiny_model(), {{"num_class_embeds", 3}}), 3);
  const Batch batch(2);
  SampleGradients gradients(model);
  CHECK_THROWS_WITH_AS(
      (void)gradients.matrix(
          2, 1,
          [&] {
            return model->forward(batch.images, batch.timesteps, torch::zeros({2}, torch::kInt64)).flatten(1).mean(1);
          }),
      doctest::Contains("class embedding"), Error);
}
