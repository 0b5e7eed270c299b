#include "worker/models/unet2d_condition.hpp"

#include <doctest/doctest.h>
#include <torch/torch.h>

#include "common/error.hpp"
#include "tests/support/scratch_folder.hpp"

using namespace guda;
using namespace guda::worker;

namespace {

/// A class-conditional model of pixels: a one-hot class of 4, no text.
Json tiny() {
  return {{"sample_size", 8},
          {"in_channels", 1},
          {"out_channels", 1},
          {"block_out_channels", {8, 8}},
          {"down_block_types", {"DownBlock2D", "DownBlock2D"}},
          {"up_block_types", {"UpBlock2D", "UpBlock2D"}},
          {"layers_per_block", 1},
          {"norm_num_groups", 4},
          {"attention_head_dim", 2},
          {"cross_attention_dim", 8},
          {"class_embed_type", "projection"},
          {"projection_class_embeddings_input_dim", 4}};
}

}  // namespace

TEST_CASE("UNet2DCondition: without a context, cross-attention is self-attention; another class, another prediction") {
  UNet2DCondition model = make_unet2d_condition(tiny(), 3);
  model->eval();
  const torch::NoGradGuard no_grad;
  torch::manual_seed(1);
  const torch::Tensor x = torch::randn({2, 1, 8, 8}), t = torch::tensor({3, 70});
  const torch::Tensor classes = torch::eye(4);
  const torch::Tensor one = model(x, t, torch::Tensor(), classes.index_select(0, torch::tensor({0, 1})));
  const torch::Tensor other = model(x, t, torch::Tensor(), classes.index_select(0, torch::tensor({0, 2})));
  CHECK(torch::equal(one[0], other[0]));
  CHECK(!torch::allclose(one[1], other[1]));
}

TEST_CASE("UNet2DCondition: what is saved loads again to the same bits") {
  const test::ScratchFolder scratch;
  UNet2DCondition model = make_unet2d_condition(tiny(), 3);
  save_unet2d_condition(model, tiny(), scratch.path() / "guide");
  UNet2DCondition again = load_unet2d_condition(scratch.path() / "guide");
  CHECK(again->config().to_json() == model->config().to_json());
  for (const auto& p : model->named_parameters()) CHECK(torch::equal(p.value(), again->named_parameters()[p.key()]));
  CHECK(!again->is_training());
}

TEST_CASE("UNet2DCondition: equal seeds give equal weights, and the generator is left as it was") {
  torch::manual_seed(5);
  const torch::Tensor expected = torch::randn({4});
  torch::manual_seed(5);
  const UNet2DCondition a = make_unet2d_condition(tiny(), 7), b = make_unet2d_condition(tiny(), 7);
  CHECK(torch::equal(torch::randn({4}), expected));
  CHECK(torch::equal(a->parameters()[0], b->parameters()[0]));
}

TEST_CASE("UNet2DCondition: inputs that do not fit are refused by name") {
  UNet2DCondition model = make_unet2d_condition(tiny(), 0);
  const torch::Tensor x = torch::zeros({1, 1, 8, 8}), t = torch::tensor({3}), label = torch::zeros({1, 4});
  CHECK_THROWS_WITH_AS(model(x, t), doctest::Contains("needs class labels"), Error);
  CHECK_THROWS_WITH_AS(model(torch::zeros({1, 1, 7, 8}), t, torch::Tensor(), label),
                       doctest::Contains("multiples of 2"), Error);
  CHECK_THROWS_WITH_AS(model(x, t, torch::zeros({2, 5, 8}), label), doctest::Contains("context of shape [2, 5, 8]"),
                       Error);
}
