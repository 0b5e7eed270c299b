#include "worker/unlearn/fisher.hpp"

#include <doctest/doctest.h>
#include <torch/torch.h>

#include "common/error.hpp"
#include "tests/support/tiny_study.hpp"
#include "worker/diffusion/scoring.hpp"
#include "worker/training/images.hpp"
#include "worker/training/trainer.hpp"
#include "worker/unlearn/unlearner.hpp"

using namespace guda;
using namespace guda::worker;
using test::no_progress;

TEST_CASE(
    "fisher: on a quadratic whose diagonal is the retain Hessian, one step gives the minimum without the group "
    "(methods.md 8)") {
  // Items i have losses sum_j h_ij (theta_j - c_ij)^2 / 2; minima are weighted means, gradients at theta are h (theta -
  // c).
  torch::manual_seed(1);
  const torch::Tensor h = torch::rand({10, 6}, torch::kFloat64) + 0.1, c = torch::randn({10, 6}, torch::kFloat64);
  const auto minimum = [&](std::int64_t first, std::int64_t count) {
    const torch::Tensor weights = h.narrow(0, first, count);
    return (weights * c.narrow(0, first, count)).sum(0) / weights.sum(0);
  };
  const torch::Tensor full = minimum(0, 10), without = minimum(3, 7);  // the group is items 0..2
  const torch::Tensor gradient = (h * (full - c)).narrow(0, 0, 3).mean(0), hessian = h.narrow(0, 3, 7).mean(0);
  std::vector<torch::Tensor> parameters{full.narrow(0, 0, 2).clone(), full.narrow(0, 2, 4).clone()};
  fisher_step(parameters, {gradient.narrow(0, 0, 2), gradient.narrow(0, 2, 4)},
              {hessian.narrow(0, 0, 2), hessian.narrow(0, 2, 4)}, 3.0 / 7.0, 0);
  CHECK(torch::allclose(torch::cat(parameters), without, 1e-10, 1e-12));
}

TEST_CASE("fisher: the damping is in units of the mean of the diagonal, and a parameter without gradients stays") {
  std::vector<torch::Tensor> parameters{torch::zeros({2}), torch::zeros({2})};
  const std::vector<torch::Tensor> gradient{torch::ones({2}), torch::tensor({1.0F, 0.0F})};
  const std::vector<torch::Tensor> fisher{torch::tensor({1.0F, 3.0F}), torch::tensor({4.0F, 0.0F})};  // mean 2
  fisher_step(parameters, gradient, fisher, 6, 0.5);
  CHECK(torch::allclose(parameters[0], torch::tensor({6.0F / 2, 6.0F / 4})));
  CHECK(torch::allclose(parameters[1], torch::tensor({6.0F / 5, 0.0F})));
  std::vector<torch::Tensor> still{torch::zeros({1})};
  fisher_step(still, {torch::zeros({1})}, {torch::zeros({1})}, 1, 0.1);
  CHECK(still[0].item<float>() == 0);
}

TEST_CASE("fisher: the group's loss rises, in proportion to a small strength") {
  at::set_num_threads(1);
  const jobs::Dataset data = test::tiny_dataset();
  const UNet2D full = train(test::tiny_training(120), data, {}, torch::kCPU, no_progress).model.unet2d();
  const auto removed = test::items_of(data, 0);
  const auto loss = [&](UNet2D model) {
    std::vector<std::string> names;
    for (const std::uint32_t item : removed) names.push_back(std::to_string(item));
    std::vector<jobs::Slot> slots;
    for (std::uint32_t t = 5; t < 100; t += 10) slots.push_back({t, 0, 0});
    double sum = 0;
    for (const float value : squared_errors(model, test::tiny_diffusion(), gather_images(data, removed), names, slots,
                                            64, 1, torch::kCPU, no_progress)) {
      sum += value;
    }
    return sum / static_cast<double>(removed.size());
  };
  const auto rise = [&](double strength) {
    jobs::UnlearnSpec spec;
    spec.diffusion = test::tiny_diffusion();
    spec.unlearn.op = "fisher";
    spec.unlearn.steps = 20;
    spec.unlearn.retain_batch = 8;
    spec.unlearn.strength = strength;
    UNet2D model = copy_unet2d(full);
    unlearn(model, full, spec, data, removed, 10, torch::kCPU, no_progress);
    return loss(model) - loss(full);
  };
  const double small = rise(1e-5), twice = rise(2e-5);
  CHECK(small > 0);
  CHECK(twice / small == doctest::Approx(2).epsilon(0.2));
}
