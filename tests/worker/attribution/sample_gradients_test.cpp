#include "worker/attribution/sample_gradients.hpp"

#include <doctest/doctest.h>

#include "common/error.hpp"
#include "tests/support/tiny_study.hpp"

using namespace guda;
using namespace guda::worker;

namespace {

struct Batch {
  torch::Tensor images, timesteps, noise, context, labels;
  explicit Batch(std::int64_t rows) {
    torch::manual_seed(5);
    images = torch::randn({rows, 1, 8, 8});
    noise = torch::randn({rows, 1, 8, 8});
    timesteps = torch::arange(rows) * 7 % 100;
  }
  [[nodiscard]] torch::Tensor losses(UNet2D& model) const {
    return (model->forward(images, timesteps, labels) - noise).square().flatten(1).mean(1);
  }
  [[nodiscard]] torch::Tensor losses(UNet2DCondition& model) const {
    return (model->forward(images, timesteps, context, labels) - noise).square().flatten(1).mean(1);
  }
  [[nodiscard]] Batch row(std::int64_t i) const {
    Batch one(*this);
    for (torch::Tensor* part : {&one.images, &one.timesteps, &one.noise, &one.context, &one.labels})
      if (part->defined()) *part = part->narrow(0, i, 1);
    return one;
  }
};

/// One row at a time by autograd: [rows, weights].
template <class Model>
torch::Tensor one_by_one(Model& model, const Batch& batch) {
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

/// Row by row, two rows a sample, and their lengths.
template <class Model>
void check_all(Model model, const Batch& batch) {
  model->eval();
  const torch::Tensor expected = one_by_one(model, batch);
  const std::int64_t rows = batch.images.size(0);
  SampleGradients gradients(*model);
  REQUIRE(gradients.weights() == expected.size(1));
  const torch::Tensor got = gradients.matrix(rows, 1, [&] { return batch.losses(model); });
  for (std::int64_t i = 0; i < rows; ++i) CHECK(relative_error(got[i], expected[i]) < 1e-5);
  // Rows of one sample arrive summed.
  const torch::Tensor pairs = gradients.matrix(rows / 2, 2, [&] { return batch.losses(model); });
  CHECK(relative_error(pairs, expected.view({rows / 2, 2, -1}).sum(1)) < 1e-5);
  const torch::Tensor lengths = gradients.squared_lengths(rows, [&] { return batch.losses(model); });
  CHECK(relative_error(lengths, expected.square().sum(1).to(torch::kFloat64)) < 1e-5);
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
    check_all(make_unet2d(config, 3), Batch(6));
  }
  Batch labelled(6);
  labelled.labels = torch::tensor({2, 0, 1, 1, 0, 2});
  check_all(make_unet2d(with(plain, {{"num_class_embeds", 3}}), 3), labelled);
}

TEST_CASE("gradients of single images are those of autograd for every layer of a UNet2DCondition") {
  const Json plain{{"sample_size", 8},
                   {"in_channels", 1},
                   {"out_channels", 1},
                   {"block_out_channels", {8, 16}},
                   {"layers_per_block", 1},
                   {"down_block_types", {"CrossAttnDownBlock2D", "DownBlock2D"}},
                   {"up_block_types", {"UpBlock2D", "CrossAttnUpBlock2D"}},
                   {"cross_attention_dim", 6},
                   {"attention_head_dim", 2},
                   {"norm_num_groups", 4}};
  Batch batch(6);
  batch.context = torch::randn({6, 5, 6});
  check_all(make_unet2d_condition(plain, 3), batch);
  check_all(make_unet2d_condition(with(plain, {{"use_linear_projection", true}, {"only_cross_attention", true}}), 3),
            batch);
  Batch labelled = batch;
  labelled.labels = torch::tensor({2, 0, 1, 1, 0, 2});
  check_all(make_unet2d_condition(with(plain, {{"num_class_embeds", 3}}), 3), labelled);
  labelled.labels = torch::randn({6, 7});
  const Json vector{{"projection_class_embeddings_input_dim", 7}};
  for (const char* type : {"projection", "simple_projection"}) {
    CAPTURE(type);
    check_all(make_unet2d_condition(with(with(plain, vector), {{"class_embed_type", type}}), 3), labelled);
  }
  // The guide of esd_class: no text, a class as a vector.
  Batch guided(6);
  guided.labels = torch::eye(11).narrow(0, 0, 6).contiguous();
  check_all(test::tiny_guide(), guided);
}

TEST_CASE("gradients of single images leave a model as it was: trainable, without gradients, same outputs") {
  UNet2D model = make_unet2d(test::tiny_model(), 3);
  model->eval();
  const Batch batch(4);
  const torch::Tensor before = batch.losses(model).detach();
  {
    SampleGradients gradients(*model);
    (void)gradients.matrix(4, 1, [&] { return batch.losses(model); });
  }
  for (const torch::Tensor& p : model->parameters()) {
    CHECK(p.requires_grad());
    CHECK_FALSE(p.grad().defined());
  }
  CHECK(torch::equal(batch.losses(model).detach(), before));
}

TEST_CASE("gradients of single images: weights that have no part in the loss are refused, not left at zero") {
  UNet2D model = make_unet2d(test::tiny_model(), 3);
  model->register_module("spare", torch::nn::Linear(2, 2));
  const Batch batch(2);
  SampleGradients gradients(*model);
  CHECK_THROWS_WITH_AS((void)gradients.matrix(2, 1, [&] { return batch.losses(model); }), doctest::Contains("2 of"),
                       Error);
}

TEST_CASE("gradients of single images: one timestep for all rows is refused, because its layers see one row") {
  UNet2D model = make_unet2d(test::tiny_model(), 3);
  Batch batch(2);
  batch.timesteps = torch::tensor(5);
  SampleGradients gradients(*model);
  CHECK_THROWS_WITH_AS((void)gradients.matrix(2, 1, [&] { return batch.losses(model); }),
                       doctest::Contains("every row its timestep"), Bug);
}
