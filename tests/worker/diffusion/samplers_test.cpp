// What DDPM and DPM-Solver++ do whatever diffusers does.
#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include <cmath>

#include "common/error.hpp"
#include "worker/diffusion/ddim.hpp"
#include "worker/diffusion/ddpm.hpp"
#include "worker/diffusion/dpm_solver.hpp"

using namespace guda;
using namespace guda::worker;

namespace {

jobs::NoiseSchedule cosine(std::uint32_t timesteps = 1000) { return jobs::NoiseSchedule({.timesteps = timesteps}); }

}  // namespace

TEST_CASE("DDPM: one step is DDIM's with eta = 1, which has the same mean and the same variance") {
  at::manual_seed(1);
  const at::Tensor x = at::randn({2, 3, 4, 4}), output = 0.3 * at::randn({2, 3, 4, 4}), noise = at::randn({2, 3, 4, 4});
  const Ddpm ddpm(cosine(), Prediction::epsilon, {.steps = 50, .clip_sample = false});
  const Ddim ddim(cosine(), Prediction::epsilon, {.steps = 50, .eta = 1, .clip_sample = false});
  REQUIRE(ddpm.timesteps() == ddim.timesteps());
  for (const std::uint32_t t : {0U, 100U, 500U, 900U}) {
    CAPTURE(t);
    CHECK(ddpm.noise_std(t) == doctest::Approx(ddim.noise_std(t)));
    const at::Tensor a = ddpm.step(output, t, x, noise), b = ddim.step(output, t, x, noise);
    CHECK((a - b).abs().max().item<double>() < 1e-4 * std::max(1.0, b.abs().max().item<double>()));
  }
}

TEST_CASE(
    "DDPM: with all timesteps the mean is the posterior mean c0 x_0 + c1 x_t of the clamped x_0 (methods.md 0.2)") {
  const jobs::NoiseSchedule schedule = cosine(100);
  const Ddpm ddpm(schedule, Prediction::sample, {.steps = 100});
  const std::uint32_t t = 40;
  const double a = schedule.alpha_bar(t), before = schedule.alpha_bar(t - 1), beta = schedule.beta(t);
  const double c0 = beta * std::sqrt(before) / (1 - a), c1 = (1 - before) * std::sqrt(1 - beta) / (1 - a);
  const at::Tensor x = at::full({1, 1, 1, 2}, 0.7), x0 = at::tensor({0.2F, 5.0F}).view({1, 1, 1, 2});
  const at::Tensor next = ddpm.step(x0, t, x, at::zeros_like(x));
  CHECK(next[0][0][0][0].item<double>() == doctest::Approx(c0 * 0.2 + c1 * 0.7).epsilon(1e-5));
  CHECK(next[0][0][0][1].item<double>() == doctest::Approx(c0 * 1.0 + c1 * 0.7).epsilon(1e-5));
  CHECK(ddpm.noise_std(t) == doctest::Approx(std::sqrt(beta * (1 - before) / (1 - a))));
  CHECK(ddpm.noise_std(0) == 0);
}

TEST_CASE("DPM-Solver++: a perfect noise prediction is carried back to the clean image, in however few steps") {
  at::manual_seed(2);
  const jobs::NoiseSchedule schedule = cosine();
  const at::Tensor x0 = at::rand({2, 1, 4, 4}) * 1.8 - 0.9, eps = at::randn({2, 1, 4, 4});
  for (const std::uint32_t steps : {1U, 2U, 5U, 20U}) {
    const DpmSolver solver(schedule, Prediction::sample, {.steps = steps});
    const std::uint32_t first = solver.timesteps().front();
    CHECK(first == 999);
    at::Tensor x = schedule.sqrt_alpha_bar(first) * x0 + schedule.sigma(first) * eps, memory;
    for (std::size_t i = 0; i + 1 < solver.timesteps().size(); ++i) {
      x = solver.step(x0, i, x, memory);
      const std::uint32_t t = solver.timesteps()[i + 1];
      // The exact answer of the probability-flow ODE: the same eps at the next noise level.
      CHECK((x - schedule.sqrt_alpha_bar(t) * x0 - schedule.sigma(t) * eps).abs().max().item<double>() < 1e-4);
    }
    CHECK((solver.step(x0, solver.timesteps().size() - 1, x, memory) - x0).abs().max().item<double>() < 1e-5);
  }
}

TEST_CASE("DPM-Solver++: the second order is closer to the ODE than the first, by far") {
  // x_0 predicted by a Gaussian prior N(0, s^2): x_0 = s^2 gamma x / (s^2 A + 1 - A); the ODE keeps x / sqrt(s^2 A + 1
  // - A).
  const jobs::NoiseSchedule schedule = cosine();
  constexpr double kVariance = 0.25;
  const auto spread = [&](std::uint32_t t) {
    return std::sqrt(kVariance * schedule.alpha_bar(t) + 1 - schedule.alpha_bar(t));
  };
  const auto error = [&](bool second_order) {
    const DpmSolver solver(schedule, Prediction::sample, {.steps = 10});
    at::Tensor x = at::full({1, 1, 1, 1}, 1.0), memory;
    const double ratio = 1.0 / spread(solver.timesteps()[0]);
    for (std::size_t i = 0; i + 1 < solver.timesteps().size(); ++i) {
      const std::uint32_t t = solver.timesteps()[i];
      const at::Tensor x0 = x * (kVariance * schedule.sqrt_alpha_bar(t) / (spread(t) * spread(t)));
      if (!second_order) memory = x0;  // no change since the step before: of first order
      x = solver.step(x0, i, x, memory);
    }
    return std::abs(x.item<double>() / spread(solver.timesteps().back()) - ratio);
  };
  CHECK(error(true) < 0.3 * error(false));
}

TEST_CASE("DDPM and DPM-Solver++: options that do not fit are refused by name, missing noise too") {
  CHECK_THROWS_WITH_AS(Ddpm(cosine(100), Prediction::epsilon, {.steps = 101}), doctest::Contains("sampler.steps: 101"),
                       Error);
  CHECK_THROWS_WITH_AS(Ddpm(cosine(100), Prediction::epsilon, {.steps = 0}), doctest::Contains("sampler.steps: 0"),
                       Error);
  CHECK_THROWS_WITH_AS(Ddpm(cosine(100), Prediction::epsilon, {.steps = 10, .clip_range = 0}),
                       doctest::Contains("clip_range"), Error);
  CHECK_THROWS_WITH_AS(DpmSolver(cosine(100), Prediction::epsilon, {.steps = 100}),
                       doctest::Contains("sampler.steps: 100"), Error);
  const Ddpm ddpm(cosine(100), Prediction::epsilon, {.steps = 10});
  const at::Tensor x = at::zeros({1, 1, 2, 2});
  CHECK_THROWS_WITH_AS(static_cast<void>(ddpm.step(x, 50, x, {})), doctest::Contains("needs noise"), Error);
  CHECK_NOTHROW(static_cast<void>(ddpm.step(x, 0, x, {})));
}
