#include "jobs/noise_schedule.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <random>

#include "common/error.hpp"

using guda::jobs::DiffusionConfig;
using guda::jobs::NoiseSchedule;

namespace {

NoiseSchedule cifar() { return NoiseSchedule({.timesteps = 4000, .schedule = "squaredcos_cap_v2"}); }
NoiseSchedule stable_diffusion() {
  return NoiseSchedule({.timesteps = 1000, .schedule = "scaled_linear", .beta_start = 0.00085, .beta_end = 0.012});
}

void check_digits(double got, double expected, double relative) {
  CAPTURE(got);
  CAPTURE(expected);
  CHECK(std::abs(got - expected) <= relative * std::abs(expected));
}

}  // namespace

TEST_CASE("noise schedule: the squared cosine of 4,000 steps gives the published ELBO weights (methods.md 0.3.4.4)") {
  const NoiseSchedule s = cifar();
  const std::pair<std::uint32_t, double> weights[] = {
      {10, 5.74372272e-02},   {20, 3.12556452e-02},   {50, 1.44822775e-02},   {100, 8.09290860e-03},
      {500, 1.94348974e-03},  {1000, 1.08356122e-03}, {2000, 7.79955019e-04}, {3000, 1.11053698e-03},
      {3900, 1.01623071e-02}, {3990, 1.17285138e-01}};
  for (const auto& [t, w] : weights) {
    CAPTURE(t);
    check_digits(s.elbo_weight(t), w, 1e-8);
  }
  check_digits(s.elbo_weight(1), 5.1539e-1, 1e-4);
  check_digits(s.elbo_weight(3998), 1.5, 1e-5);
  check_digits(s.elbo_weight(3999), 499.5, 1e-6);
}

TEST_CASE(
    "noise schedule: the squared cosine of 4,000 steps gives the published betas and products (methods.md 0.3.4.4)") {
  const NoiseSchedule s = cifar();
  const std::tuple<std::uint32_t, double, double> rows[] = {
      {0, 9.8658e-06, 0.9999901},    {1, 1.0169e-05, 0.99997996},   {10, 1.2902e-05, 0.9998748},
      {20, 1.5938e-05, 0.9997291},   {100, 4.0255e-05, 0.9974727},  {1000, 3.3143e-04, 0.8467314},
      {2000, 7.8894e-04, 0.4934540}, {3000, 1.8970e-03, 0.1439984}, {3900, 1.9890e-02, 1.487035e-03},
      {3990, 0.1900, 1.229559e-05},  {3998, 0.7500, 1.51798e-07},   {3999, 0.9990, 1.51798e-10}};
  for (const auto& [t, beta, alpha_bar] : rows) {
    CAPTURE(t);
    check_digits(s.beta(t), beta, 2e-4);
    check_digits(s.alpha_bar(t), alpha_bar, 3e-6);
  }
}

TEST_CASE("noise schedule: the weights of the stride-10 grid sum to 1.12887 (methods.md 0.3.4.3)") {
  const NoiseSchedule s = cifar();
  double sum = 0;
  for (std::uint32_t t = 10; t < 4000; t += 10) sum += s.elbo_weight(t);
  check_digits(sum, 1.12887, 5e-6);
}

TEST_CASE(
    "noise schedule: the scaled-linear schedule of Stable Diffusion gives the published ELBO weights (methods.md "
    "0.3.2)") {
  const NoiseSchedule s = stable_diffusion();
  check_digits(s.elbo_weight(10), 5.1756e-02, 2e-5);
  check_digits(s.elbo_weight(20), 2.6676e-02, 2e-5);
  check_digits(s.elbo_weight(500), 3.34906e-03, 2e-6);
  check_digits(s.elbo_weight(990), 6.02353e-03, 2e-6);
}

TEST_CASE(
    "noise schedule: an ELBO weight times the squared error equals the divergence through posterior means (methods.md "
    "0.3.4.1)") {
  std::mt19937_64 random(3);
  std::normal_distribution<double> normal;
  for (const auto& s : {cifar(), stable_diffusion()}) {
    for (const std::uint32_t t : {1U, 10U, 100U, 500U, 990U, s.timesteps() - 10}) {
      const double before = s.alpha_bar(t - 1), now = s.alpha_bar(t), alpha = now / before, beta = 1 - alpha;
      const double c0 = beta * std::sqrt(before) / (1 - now), c1 = (1 - before) * std::sqrt(alpha) / (1 - now);
      const double variance = beta * (1 - before) / (1 - now);
      double divergence = 0, squared_error = 0;
      for (int pixel = 0; pixel < 64; ++pixel) {
        const double x0 = normal(random), eps = normal(random), guess = eps + 0.3 * normal(random);
        const double x_t = std::sqrt(now) * x0 + std::sqrt(1 - now) * eps;
        const double x0_guess = x_t / std::sqrt(now) - std::sqrt(1 / now - 1) * guess;
        const double difference = (c0 * x0 + c1 * x_t) - (c0 * x0_guess + c1 * x_t);
        divergence += difference * difference / (2 * variance);
        squared_error += (eps - guess) * (eps - guess);
      }
      CAPTURE(t);
      check_digits(divergence, s.elbo_weight(t) * squared_error, 1e-10);
    }
  }
}

TEST_CASE("noise schedule: the factors of image and noise are consistent") {
  const NoiseSchedule s({.timesteps = 100, .schedule = "linear", .beta_start = 1e-4, .beta_end = 0.02});
  CHECK(s.beta(0) == doctest::Approx(1e-4));
  CHECK(s.beta(99) == doctest::Approx(0.02));
  CHECK(s.beta(50) - s.beta(49) == doctest::Approx((0.02 - 1e-4) / 99));
  for (std::uint32_t t = 0; t < 100; ++t) {
    CHECK(s.sqrt_alpha_bar(t) * s.sqrt_alpha_bar(t) + s.sigma(t) * s.sigma(t) == doctest::Approx(1).epsilon(1e-14));
    CHECK(s.snr(t) == doctest::Approx(s.alpha_bar(t) / (1 - s.alpha_bar(t))));
  }
}

TEST_CASE("noise schedule: wrong settings are all named at once") {
  try {
    NoiseSchedule({.timesteps = 0, .schedule = "sigmoid", .beta_start = -1, .beta_end = 1.5});
    FAIL("no error");
  } catch (const guda::Error& e) {
    const std::string what = e.what();
    CHECK(what.find("diffusion.timesteps: 0") != std::string::npos);
    CHECK(what.find("'sigmoid' is not one of linear, scaled_linear, squaredcos_cap_v2") != std::string::npos);
    CHECK(what.find("diffusion.beta_start: -1") != std::string::npos);
    CHECK(what.find("diffusion.beta_end: 1.5") != std::string::npos);
  }
}

TEST_CASE("noise schedule: timesteps outside it, and the weight of timestep 0, are errors") {
  const NoiseSchedule s = stable_diffusion();
  CHECK_THROWS_AS(static_cast<void>(s.beta(1000)), guda::Error);
  CHECK_THROWS_AS(static_cast<void>(s.elbo_weight(1000)), guda::Error);
  CHECK_THROWS_WITH_AS(static_cast<void>(s.elbo_weight(0)), doctest::Contains("timestep 0"), guda::Error);
}

TEST_CASE("noise schedule: given tables are used as they are, and refused when they are no schedule") {
  const NoiseSchedule exact = stable_diffusion();
  std::vector<double> betas, products;
  for (std::uint32_t t = 0; t < exact.timesteps(); ++t) {
    betas.push_back(static_cast<float>(exact.beta(t)));
    products.push_back(static_cast<float>(exact.alpha_bar(t)));
  }
  const NoiseSchedule rounded(betas, products);
  CHECK(rounded.timesteps() == 1000);
  CHECK(rounded.alpha_bar(10) == products[10]);
  CHECK(rounded.alpha_bar(10) != exact.alpha_bar(10));
  // Float32 tables move the weights of low timesteps, here by a few parts in ten thousand.
  CHECK(std::abs(rounded.elbo_weight(10) / exact.elbo_weight(10) - 1) < 1e-3);
  CHECK_THROWS_WITH_AS(NoiseSchedule(betas, {0.5}), doctest::Contains("1000 betas and 1 products"), guda::Error);
  CHECK_THROWS_AS(NoiseSchedule({}, {}), guda::Error);
  products[20] = products[19] + 0.001;
  CHECK_THROWS_WITH_AS(NoiseSchedule(betas, products), doctest::Contains("at timestep 20"), guda::Error);
}

TEST_CASE("noise schedule: tables rounded to float32 change the ELBO weights as published (methods.md 0.3.1)") {
  const NoiseSchedule exact({.timesteps = 4000}), rounded({.timesteps = 4000, .tables = "float32"});
  const auto change = [&](std::uint32_t t) { return rounded.elbo_weight(t) / exact.elbo_weight(t) - 1; };
  CHECK(change(10) == doctest::Approx(-3.6e-4).epsilon(0.03));
  CHECK(change(50) == doctest::Approx(-5.0e-4).epsilon(0.03));
  for (std::uint32_t t = 500; t < 3990; t += 10) CHECK(std::abs(change(t)) < 1e-5);
  for (std::uint32_t t = 0; t < 4000; ++t) {
    CHECK(static_cast<double>(static_cast<float>(rounded.alpha_bar(t))) == rounded.alpha_bar(t));
  }
  CHECK_THROWS_WITH_AS(NoiseSchedule({.tables = "float16"}), doctest::Contains("diffusion.tables: 'float16'"),
                       guda::Error);
}
