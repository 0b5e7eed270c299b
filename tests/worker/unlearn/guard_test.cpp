#include "worker/unlearn/guard.hpp"

#include <doctest/doctest.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "common/error.hpp"
#include "tests/support/tiny_study.hpp"
#include "worker/training/images.hpp"
#include "worker/training/streams.hpp"
#include "worker/training/trainer.hpp"
#include "worker/unlearn/step_images.hpp"

using namespace guda;
using namespace guda::worker;
using test::no_progress;

namespace {

jobs::UnlearnSpec tiny_spec() {
  jobs::UnlearnSpec spec;
  spec.diffusion = test::tiny_diffusion();
  return spec;
}

}  // namespace

TEST_CASE(
    "GUARD: weights are positive, of mean 1, fall with the alignment, and an infinite temperature weighs all alike "
    "(methods.md 9)") {
  const std::vector<double> alignments{0.3, -2, 5, 0.3};
  const auto weights = guard_weights(alignments, 1);
  CHECK(std::accumulate(weights.begin(), weights.end(), 0.0) == doctest::Approx(4));
  CHECK(*std::min_element(weights.begin(), weights.end()) > 0);
  CHECK(weights[1] > weights[0]);
  CHECK(weights[0] > weights[2]);
  CHECK(weights[0] == weights[3]);
  for (const double w : guard_weights(alignments, std::numeric_limits<double>::infinity())) CHECK(w == 1);
  for (const double w : guard_weights(std::vector<double>{2, 2, 2}, 0.1)) CHECK(w == 1);
  CHECK_THROWS_AS((void)guard_weights(alignments, 0), Error);
}

TEST_CASE("GUARD: units and offset of the alignments do not matter, a low temperature leaves the least aligned") {
  const std::vector<double> alignments{1, 2, 4};
  std::vector<double> other;
  for (const double a : alignments) other.push_back(1e6 * a - 7);
  const auto weights = guard_weights(alignments, 2), same = guard_weights(other, 2);
  for (std::size_t i = 0; i < 3; ++i) CHECK(weights[i] == doctest::Approx(same[i]).epsilon(1e-6));
  CHECK(guard_weights(alignments, 0.01)[0] == doctest::Approx(3));
}

TEST_CASE("GUARD: alignments are the inner products of gradients, and the model is left bit for bit") {
  at::set_num_threads(1);
  const jobs::Dataset data = test::tiny_dataset();
  UNet2D model = train(test::tiny_training(60), data, {}, torch::kCPU, no_progress).model.unet2d();
  const UNet2D before = copy_unet2d(model);
  auto removed = test::items_of(data, 0);
  removed.resize(4);
  const auto alignments = guard_alignments(model, tiny_spec(), data, removed, torch::kCPU, {});
  CHECK(test::same_weights(model, before));
  CHECK_FALSE(model->is_training());

  // By autograd, one item at a time, under the documented noise.
  const jobs::NoiseSchedule schedule(test::tiny_diffusion());
  const SeedPath seed = SeedPath(0) / "unlearn" / "guard";
  const auto parameters = model->parameters();
  const auto gradient = [&](const std::vector<std::uint32_t>& items) {
    torch::Tensor loss = torch::zeros({});
    for (std::uint32_t j = 0; j < 10; ++j) {
      StepImages rows;
      rows.timesteps.assign(items.size(), (2 * j + 1) * 5);
      rows.noise =
          draw_noise(seed / "noise", j, {1, 1, 8, 8}).expand({static_cast<std::int64_t>(items.size()), 1, 8, 8});
      rows.x_t = add_noise(gather_images(data, items), rows.noise, noise_levels(schedule, rows.timesteps));
      loss = loss + (predict_noise(model, Prediction::epsilon, schedule, rows, torch::kCPU) - rows.noise.flatten(1))
                            .square()
                            .mean() /
                        10;
    }
    std::vector<torch::Tensor> flat;
    for (const torch::Tensor& g : torch::autograd::grad({loss}, parameters)) flat.push_back(g.flatten());
    return torch::cat(flat).to(torch::kFloat64);
  };
  std::vector<std::uint32_t> retained;
  for (const std::uint32_t item : data.train) {
    if (!std::binary_search(removed.begin(), removed.end(), item)) retained.push_back(item);
  }
  const torch::Tensor mean = gradient(retained);
  for (std::size_t i = 0; i < removed.size(); ++i) {
    const torch::Tensor own = gradient({removed[i]});
    // Relative to what aligned gradients of these lengths would give.
    CHECK(std::abs(alignments[i] - own.dot(mean).item<double>()) <
          0.02 * own.norm().item<double>() * mean.norm().item<double>());
  }
}

TEST_CASE("GUARD: a forget image that is also in the retain set, many times, weighs less (methods.md 9)") {
  at::set_num_threads(1);
  jobs::Dataset data = test::tiny_dataset();
  UNet2D model = train(test::tiny_training(2), data, {}, torch::kCPU, no_progress).model.unet2d();
  const auto removed = test::items_of(data, 0);
  const auto weight = [&] {
    return guard_weights(guard_alignments(model, tiny_spec(), data, removed, torch::kCPU, {}), 1)[2];
  };
  const double before = weight();
  for (const std::uint32_t item : data.train) {
    if (data.labels[item] >= 5) std::copy_n(data.pixels.begin() + removed[2] * 64, 64, data.pixels.begin() + item * 64);
  }
  CHECK(weight() < before);
}
