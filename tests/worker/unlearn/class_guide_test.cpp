// ESD with a class-conditional model (methods.md 3.1, 3.4).
#include "worker/unlearn/class_guide.hpp"

#include <doctest/doctest.h>
#include <torch/torch.h>

#include "common/error.hpp"
#include "tests/support/tiny_study.hpp"
#include "worker/training/class_labels.hpp"
#include "worker/training/trainer.hpp"
#include "worker/unlearn/operators.hpp"
#include "worker/unlearn/unlearner.hpp"

using namespace guda;
using namespace guda::worker;
using test::no_progress;

namespace {

StepImages some_rows(const jobs::Dataset& data, const jobs::NoiseSchedule& schedule) {
  return noised_images(SeedPath(4), 0, {data.train[0], data.train[5], data.train[9]}, {}, data, schedule);
}

}  // namespace

TEST_CASE("class guide: both predictions are those of the model asked without a class and with the image's own") {
  const jobs::Dataset data = test::tiny_dataset();
  const jobs::NoiseSchedule schedule(test::tiny_diffusion());
  const StepImages rows = some_rows(data, schedule);
  UNet2DCondition guide = test::tiny_guide();
  const Guidance guidance = guidance_of(guide, Prediction::epsilon, schedule, rows, data, torch::kCPU);
  const torch::NoGradGuard no_grad;
  torch::Tensor one_hot = torch::zeros({3, 11}), none = torch::zeros({3, 11});
  for (std::int64_t i = 0; i < 3; ++i) {
    one_hot[i][data.labels[rows.items[static_cast<std::size_t>(i)]]] = 1;
    none[i][10] = 1;
  }
  const torch::Tensor t = to_tensor(rows.timesteps);
  CHECK(torch::allclose(guidance.conditional, guide->forward(rows.x_t, t, {}, one_hot).flatten(1), 1e-5, 1e-6));
  CHECK(torch::allclose(guidance.unconditional, guide->forward(rows.x_t, t, {}, none).flatten(1), 1e-5, 1e-6));
  CHECK(!torch::allclose(guidance.unconditional, guidance.conditional));
}

TEST_CASE("esd_class: the loss is the squared distance to e_u + w (e_u - e_c); with w = 0 at e_u it has no gradient") {
  torch::manual_seed(3);
  ForgetBatch batch;
  batch.prediction = torch::randn({4, 16}).requires_grad_();
  batch.unconditional = torch::randn({4, 16});
  batch.conditional = torch::randn({4, 16});
  jobs::UnlearnConfig config;
  config.op = "esd_class";
  config.guidance = 7.5;
  const torch::Tensor target = 8.5 * batch.unconditional - 7.5 * batch.conditional;
  CHECK(torch::allclose(esd_class_loss(batch, config), (batch.prediction - target).square().mean(1), 1e-4, 1e-5));
  config.guidance = 0;
  batch.prediction = batch.unconditional.clone().requires_grad_();
  const auto gradient = torch::autograd::grad({esd_class_loss(batch, config).sum()}, {batch.prediction})[0];
  CHECK(gradient.abs().max().item<double>() == 0);
}

TEST_CASE("esd_class: unlearning moves the model, leaves the guide alone, and needs one") {
  at::set_num_threads(1);
  const jobs::Dataset data = test::tiny_dataset();
  const UNet2D full = train(test::tiny_training(), data, {}, torch::kCPU, no_progress).model.unet2d();
  const auto removed = test::items_of(data, 0);
  jobs::UnlearnSpec spec;
  spec.diffusion = test::tiny_diffusion();
  spec.unlearn.op = "esd_class";
  spec.unlearn.steps = 2;
  spec.unlearn.retain_batch = 8;
  UNet2D model = copy_unet2d(full);
  UNet2DCondition guide = test::tiny_guide();
  const torch::Tensor before = guide->parameters()[0].clone();
  const Unlearned unlearned =
      unlearn(model, UNet2D{nullptr}, spec, data, removed, 10, torch::kCPU, no_progress, nullptr, guide);
  CHECK(unlearned.forget_loss > 0);
  CHECK(!test::same_weights(model, full));
  CHECK(torch::equal(before, guide->parameters()[0]));
  CHECK_THROWS_AS(unlearn(model, UNet2D{nullptr}, spec, data, removed, 10, torch::kCPU, no_progress), Bug);
}
