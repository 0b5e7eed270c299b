#include "worker/diffusion/prediction.hpp"

#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include <vector>

#include "common/error.hpp"

using namespace guda;
using namespace guda::worker;

namespace {

const jobs::NoiseSchedule& schedule() {
  static const jobs::NoiseSchedule s({.timesteps = 1000, .schedule = "squaredcos_cap_v2"});
  return s;
}

double distance(const at::Tensor& a, const at::Tensor& b) { return (a - b).abs().max().item<double>(); }

}  // namespace

TEST_CASE("prediction: the training target of every type converts back to the noise and the clean image") {
  const std::vector<std::uint32_t> timesteps{50, 300, 700};
  const NoiseLevels levels = noise_levels(schedule(), timesteps);
  const at::Tensor x0 = at::randn({3, 2, 4, 4}), eps = at::randn({3, 2, 4, 4});
  const at::Tensor x_t = add_noise(x0, eps, levels);
  for (const Prediction p : {Prediction::epsilon, Prediction::v_prediction, Prediction::sample}) {
    const at::Tensor output = training_target(p, x0, eps, levels);
    CHECK(distance(to_eps(p, output, x_t, levels), eps) < 1e-4);
    CHECK(distance(to_x0(p, output, x_t, levels), x0) < 1e-4);
  }
}

TEST_CASE("prediction: a noised image mixes image and noise by the schedule of its own timestep") {
  const std::vector<std::uint32_t> timesteps{0, 999};
  const NoiseLevels levels = noise_levels(schedule(), timesteps);
  const at::Tensor x0 = at::ones({2, 1, 1, 1}), eps = at::full({2, 1, 1, 1}, -2.0);
  const at::Tensor x_t = add_noise(x0, eps, levels);
  for (int i = 0; i < 2; ++i) {
    const double expected = schedule().sqrt_alpha_bar(timesteps[i]) - 2 * schedule().sigma(timesteps[i]);
    CHECK(x_t[i].item<double>() == doctest::Approx(expected).epsilon(1e-6));
  }
}

TEST_CASE("prediction: the target of v_prediction is gamma eps - sigma x0") {
  const std::vector<std::uint32_t> timesteps{400};
  const NoiseLevels levels = noise_levels(schedule(), timesteps);
  const at::Tensor v =
      training_target(Prediction::v_prediction, at::full({1, 1, 1, 1}, 3.0), at::full({1, 1, 1, 1}, 5.0), levels);
  CHECK(v.item<double>() ==
        doctest::Approx(5 * schedule().sqrt_alpha_bar(400) - 3 * schedule().sigma(400)).epsilon(1e-6));
}

TEST_CASE("prediction: names are diffusers', others are refused with the list") {
  CHECK(prediction_from("epsilon") == Prediction::epsilon);
  CHECK(prediction_from("v_prediction") == Prediction::v_prediction);
  CHECK(prediction_from("sample") == Prediction::sample);
  CHECK_THROWS_WITH_AS(static_cast<void>(prediction_from("velocity")),
                       doctest::Contains("one of epsilon, v_prediction, sample"), Error);
}
