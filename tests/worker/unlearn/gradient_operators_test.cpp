// Self-checks of ESD, EraseDiff and SISS (methods.md 3.4).
#include <doctest/doctest.h>
#include <torch/torch.h>

#include <cmath>
#include <string>
#include <vector>

#include "worker/unlearn/operators.hpp"
#include "worker/unlearn/unlearner.hpp"

using namespace guda;
using namespace guda::worker;

namespace {

ForgetBatch random_batch(std::uint64_t seed, std::int64_t rows = 4, std::int64_t size = 16) {
  torch::manual_seed(seed);
  ForgetBatch batch;
  batch.prediction = torch::randn({rows, size}).requires_grad_();
  batch.noise = torch::randn({rows, size});
  batch.teacher = torch::randn({rows, size});
  batch.fresh_noise = torch::randn({rows, size});
  return batch;
}

torch::Tensor gradient_of(ForgetLoss loss, const ForgetBatch& batch, const jobs::UnlearnConfig& config) {
  return torch::autograd::grad({loss(batch, config).sum()}, {batch.prediction})[0];
}

}  // namespace

TEST_CASE("esd: without guidance, at the full model, the forget term has no gradient (methods.md 3.4.1)") {
  ForgetBatch batch = random_batch(1);
  batch.prediction = batch.teacher.clone().requires_grad_();
  jobs::UnlearnConfig config;
  config.guidance = 0;
  CHECK(gradient_of(esd_loss, batch, config).abs().max().item<double>() == 0);
  config.guidance = 1;
  CHECK(gradient_of(esd_loss, batch, config).abs().max().item<double>() > 0.01);
}

TEST_CASE(
    "esd: the target is affine in the guidance, and swapped predictions with w = -1 give the other one (methods.md "
    "3.4.2)") {
  torch::manual_seed(2);
  const torch::Tensor u = torch::randn({3, 8}), c = torch::randn({3, 8});
  CHECK(torch::allclose(esd_target(u, c, 7.5), u + 7.5 * (u - c), 1e-5, 1e-6));
  CHECK(torch::allclose(esd_target(u, c, 2) - esd_target(u, c, 1), esd_target(u, c, 1) - esd_target(u, c, 0), 1e-5,
                        1e-5));
  CHECK(torch::allclose(esd_target(u, c, -1), c, 1e-5, 1e-6));
}

TEST_CASE("esd: the noise of the image in the place of a conditional model has that model's gradient in expectation") {
  // A conditional model is the mean of the noise given x_t; here four equally likely noises share one x_t.
  ForgetBatch batch = random_batch(3, 4, 16);
  const torch::Tensor one = torch::randn({1, 16}), teacher = torch::randn({1, 16});
  batch.prediction = one.expand({4, 16}).contiguous().requires_grad_();
  batch.teacher = teacher.expand({4, 16}).contiguous();
  jobs::UnlearnConfig config;
  const torch::Tensor by_noise = gradient_of(esd_loss, batch, config).mean(0);
  batch.noise = batch.noise.mean(0, /*keepdim=*/true).expand({4, 16}).contiguous();
  CHECK(torch::allclose(by_noise, gradient_of(esd_loss, batch, config).mean(0), 1e-4, 1e-5));
}

TEST_CASE("esd: it is ifu with rho = 1/guidance, weighed by the guidance, up to a constant") {
  const ForgetBatch batch = random_batch(4);
  jobs::UnlearnConfig esd, ifu;
  esd.guidance = 4;
  ifu.rho = 0.25;
  CHECK(torch::allclose(gradient_of(esd_loss, batch, esd), 4 * gradient_of(ifu_loss, batch, ifu), 1e-4, 1e-5));
}

TEST_CASE("erasediff: over many draws the gradient is that of the mean square of the prediction (methods.md 3.4.3)") {
  ForgetBatch batch = random_batch(5, 1, 8);
  torch::Tensor sum = torch::zeros({1, 8});
  constexpr int kDraws = 10000;
  for (int i = 0; i < kDraws; ++i) {
    batch.fresh_noise = torch::randn({1, 8});
    sum += gradient_of(erasediff_loss, batch, {});
  }
  // One draw has a standard deviation of 2/8: five standard errors.
  CHECK((sum / kDraws - gradient_of(retrack_released_loss, batch, {})).abs().max().item<double>() <
        5 * 0.25 / std::sqrt(kDraws));
}

TEST_CASE(
    "siss: without the cap the gradient is n/n_r g_retain - n_k/n_r g_forget, 10/9 and 1/9 of CIFAR-10 (methods.md "
    "3.4.4)") {
  jobs::UnlearnConfig config;
  config.op = "siss";
  CHECK(forget_weight(config, 5000, 45000, 10) == doctest::Approx(1.0 / 9.0));
  CHECK(retain_weight(config, 5000, 45000) == doctest::Approx(10.0 / 9.0));
  config.strength = 2;
  CHECK(forget_weight(config, 5000, 45000, 10) == doctest::Approx(2.0 / 9.0));
  jobs::UnlearnConfig other;
  CHECK(retain_weight(other, 5000, 45000) == 1);

  ForgetBatch batch = random_batch(6);
  const torch::Tensor plain =
      torch::autograd::grad({(batch.prediction - batch.noise).square().mean(1).sum()}, {batch.prediction})[0];
  CHECK(torch::allclose(gradient_of(siss_loss, batch, config), -plain));
}

TEST_CASE(
    "siss: the forget gradient is added as it is, or cut to the cap in norms of the unweighed retain gradient "
    "(methods.md 12.1 G6)") {
  const auto combined = [](double cap, double weight) {
    std::vector<torch::Tensor> parameters{torch::zeros({2}).requires_grad_(), torch::zeros({1}).requires_grad_(),
                                          torch::zeros({1}).requires_grad_()};
    parameters[0].mutable_grad() = torch::tensor({3.0F, 0.0F});
    parameters[1].mutable_grad() = torch::tensor({4.0F});  // together of norm 5
    add_capped_gradients(parameters, {torch::tensor({0.0F, 6.0F}), torch::Tensor(), torch::tensor({8.0F})}, cap,
                         weight);  // of norm 10
    return std::vector<float>{parameters[0].grad()[0].item<float>(), parameters[0].grad()[1].item<float>(),
                              parameters[1].grad()[0].item<float>(), parameters[2].grad()[0].item<float>()};
  };
  CHECK(combined(0, 1) == std::vector<float>{3, 6, 4, 8});
  CHECK(combined(2, 1) == std::vector<float>{3, 6, 4, 8});  // the cap is just reached
  const auto cut = combined(0.1, 1.25);                     // 0.1 * 5 / 1.25 = 0.4 instead of 10
  CHECK(cut[1] == doctest::Approx(0.24));
  CHECK(cut[3] == doctest::Approx(0.32));
  CHECK(cut[2] == 4);
}
