#include "worker/models/recompute.hpp"

#include <doctest/doctest.h>

#include "tests/support/tiny_styles.hpp"
#include "worker/profile/tensor_memory.hpp"
#include "worker/training/trainer.hpp"

using namespace guda;
using namespace guda::worker;

namespace {

struct Pass {
  torch::Tensor out;
  std::vector<torch::Tensor> gradients;
  torch::Tensor generator;  ///< afterwards
  std::int64_t peak = 0;    ///< bytes of the pass's own tensors
};

Pass pass(const Denoiser& model, const Condition& condition, std::int64_t channels, bool recompute, bool by_grad) {
  model->train();
  torch::manual_seed(5);
  const torch::Tensor x = draw_noise(SeedPath(1), 0, {4, channels, 8, 8});
  const torch::Tensor t = torch::tensor({3, 500, 20, 77});
  Pass result;
  const TensorMemory memory;
  {
    const RecomputeScope scope(recompute);
    result.out = model(x, t, condition);
  }
  const torch::Tensor loss = result.out.square().mean();
  const auto parameters = model->parameters();
  if (by_grad) {
    result.gradients = torch::autograd::grad({loss}, parameters, {}, std::nullopt, false, /*allow_unused=*/true);
  } else {
    loss.backward();
    for (const torch::Tensor& p : parameters) {
      result.gradients.push_back(p.grad().clone());
      p.mutable_grad().reset();
    }
  }
  result.peak = memory.peak();
  result.generator = at::globalContext().defaultGenerator(at::kCPU).get_state();
  return result;
}

void check_same(const Pass& a, const Pass& b) {
  CHECK(torch::equal(a.out, b.out));
  CHECK(torch::equal(a.generator, b.generator));
  REQUIRE(a.gradients.size() == b.gradients.size());
  for (std::size_t i = 0; i < a.gradients.size(); ++i) {
    CAPTURE(i);
    CHECK(torch::equal(a.gradients[i], b.gradients[i]));
  }
}

}  // namespace

TEST_CASE("gradient checkpointing: the same bits of outputs, gradients and generator, with dropout, in less memory") {
  at::set_num_threads(1);
  Json text = test::tiny_text_model(), pixels = test::tiny_model();
  for (Json* config : {&text, &pixels}) {
    (*config)["dropout"] = 0.2;
    (*config)["layers_per_block"] = 2;
    (*config)["block_out_channels"] = {16, 32};
  }
  pixels["down_block_types"] = {"DownBlock2D", "AttnDownBlock2D"};
  pixels["up_block_types"] = {"AttnUpBlock2D", "UpBlock2D"};
  pixels["add_attention"] = true;
  pixels["downsample_type"] = pixels["upsample_type"] = "resnet";
  const Condition told{draw_noise(SeedPath(2), 0, {4, 8, 16}), {}};
  for (const bool by_grad : {false, true}) {
    CAPTURE(by_grad);
    const Denoiser condition = make_denoiser(text, 4), plain = make_denoiser(pixels, 4);
    const Pass kept = pass(condition, told, 4, false, by_grad), again = pass(condition, told, 4, true, by_grad);
    check_same(kept, again);
    check_same(pass(plain, {}, 1, false, by_grad), pass(plain, {}, 1, true, by_grad));
  }
  Json large = text;
  large["sample_size"] = 8;
  large["layers_per_block"] = 3;
  const Denoiser model = make_denoiser(large, 4);
  const std::int64_t kept = pass(model, told, 4, false, false).peak, again = pass(model, told, 4, true, false).peak;
  MESSAGE("peak of a pass with activations kept / computed again: ", double(kept) / double(again));
  CHECK(again < kept);
}

TEST_CASE("gradient checkpointing: training and its pieces end with the same bits as without") {
  at::set_num_threads(1);
  const jobs::Dataset data = test::tiny_styled_dataset();
  const Examples examples{data, test::tiny_latents(data), test::tiny_texts(data)};
  jobs::TrainSpec spec = test::tiny_training(6);
  spec.model = test::tiny_text_model();
  spec.model["dropout"] = 0.1;
  const auto trained = [&](bool recompute) {
    return train(spec, examples, {}, torch::kCPU, test::no_progress, nullptr, nullptr, {}, {.recompute = recompute});
  };
  const Trained kept = trained(false), again = trained(true);
  CHECK(test::same_weights(kept.model, again.model));
  CHECK(kept.last_loss == again.last_loss);
  spec.micro_batch = 5;
  CHECK(test::same_weights(trained(false).model, trained(true).model));
}
