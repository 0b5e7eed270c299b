#include "worker/diffusion/scoring.hpp"

#include <doctest/doctest.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <span>

#include "common/digest.hpp"
#include "common/error.hpp"
#include "jobs/noise_schedule.hpp"
#include "tests/support/tiny_study.hpp"
#include "worker/diffusion/noise.hpp"
#include "worker/diffusion/query_set.hpp"
#include "worker/training/images.hpp"
#include "worker/training/trainer.hpp"

using namespace guda;
using namespace guda::worker;
using test::no_progress;

namespace {

struct Queries {
  UNet2D model = make_unet2d(test::tiny_model(), 3);
  torch::Tensor images;
  std::vector<std::string> names;
  std::vector<jobs::Slot> slots;

  Queries() {
    at::set_num_threads(1);
    const jobs::Dataset data = test::tiny_dataset();
    images = gather_images(data, std::span(data.held_out).first(13));
    for (int i = 0; i < 13; ++i) names.push_back("real/" + std::to_string(i));
    for (const std::uint32_t draw : {0U, 1U}) {
      for (const std::uint32_t t : {5U, 35U, 65U, 95U}) slots.push_back({t, draw, 0});
    }
    model->eval();
  }
  [[nodiscard]] std::vector<float> score(std::span<const jobs::Slot> slot, std::uint32_t first, std::uint32_t count,
                                         std::uint32_t batch, std::uint64_t seed = 7) {
    return squared_errors(model, test::tiny_diffusion(), images.narrow(0, first, count),
                          std::span(names).subspan(first, count), slot, batch, seed, torch::kCPU, no_progress);
  }
};

}  // namespace

TEST_CASE("scoring: a loss does not depend on the block or on the other slots, bit for bit (methods.md 12.1 G7)") {
  Queries q;
  const auto all = q.score(q.slots, 0, 13, 16);
  for (std::uint32_t first = 0; first < 13; first += 5) {
    const std::uint32_t count = std::min(5U, 13 - first);
    const auto block = q.score(q.slots, first, count, 16);
    CHECK(std::equal(block.begin(), block.end(), all.begin() + first * 8));
  }
  const auto part = q.score(std::span(q.slots).subspan(2, 3), 0, 13, 16);
  bool equal = true;
  for (std::size_t i = 0; i < 13; ++i)
    equal = equal && std::equal(part.begin() + i * 3, part.begin() + i * 3 + 3, all.begin() + i * 8 + 2);
  CHECK(equal);
}

TEST_CASE("scoring: a loss does not depend on the order of the queries, bit for bit") {
  Queries q;
  const auto all = q.score(q.slots, 0, 13, 16);
  q.images = q.images.flip({0});
  std::reverse(q.names.begin(), q.names.end());
  const auto reversed = q.score(q.slots, 0, 13, 16);
  for (std::size_t i = 0; i < 13; ++i)
    CHECK(std::equal(all.begin() + i * 8, all.begin() + i * 8 + 8, reversed.begin() + (12 - i) * 8));
}

TEST_CASE("scoring: another batch shape changes a loss by less than 1e-5 of it") {
  Queries q;
  const auto a = q.score(q.slots, 0, 13, 16), b = q.score(q.slots, 0, 13, 64);
  for (std::size_t i = 0; i < a.size(); ++i) CHECK(b[i] == doctest::Approx(a[i]).epsilon(1e-5));
}

TEST_CASE("scoring: draws, seeds and names give other noise") {
  Queries q;
  const auto a = q.score(q.slots, 0, 13, 16);
  CHECK(a[0] != a[4]);  // same timestep, another draw
  CHECK(a != q.score(q.slots, 0, 13, 16, 8));
  q.names[0] = "another";
  const auto b = q.score(q.slots, 0, 13, 16);
  CHECK(a[0] != b[0]);
  CHECK(std::equal(a.begin() + 8, a.end(), b.begin() + 8));
}

TEST_CASE("scoring: the losses are squared errors of the model's noise under the documented counters") {
  Queries q;
  const auto losses = q.score(q.slots, 0, 13, 16);
  const jobs::NoiseSchedule schedule(test::tiny_diffusion());
  const torch::NoGradGuard no_grad;
  torch::Tensor eps = torch::empty({1, 1, 8, 8});
  fill_normal(7, query_id("real/4"), 35, 1, {eps.data_ptr<float>(), 64});
  const torch::Tensor x_t = q.images.narrow(0, 4, 1) * schedule.sqrt_alpha_bar(35) + eps * schedule.sigma(35);
  const torch::Tensor predicted = q.model->forward(x_t, torch::tensor({35}));
  CHECK(losses[4 * 8 + 5] == doctest::Approx((eps - predicted).square().sum().item<double>()).epsilon(1e-5));
}

TEST_CASE(
    "scoring: a counterfactual equal to the full model scores exactly 0 at any batch, another one does not (methods.md "
    "0.3.4.2)") {
  Queries q;
  const auto full = q.score(q.slots, 0, 13, 16), smaller = q.score(q.slots, 0, 13, 5);
  q.model = copy_unet2d(q.model);
  CHECK(q.score(q.slots, 0, 13, 16) == full);
  CHECK(q.score(q.slots, 0, 13, 5) == smaller);
  {
    const torch::NoGradGuard no_grad;
    q.model->parameters()[0].mul_(1.01);
  }
  CHECK(q.score(q.slots, 0, 13, 16) != full);
}

TEST_CASE("scoring: predictions of v and x0 are scored as the noise they stand for") {
  Queries q;
  auto diffusion = test::tiny_diffusion();
  std::vector<std::vector<float>> results;
  for (const char* prediction : {"epsilon", "v_prediction", "sample"}) {
    diffusion.prediction = prediction;
    results.push_back(squared_errors(q.model, diffusion, q.images, q.names, q.slots, 16, 7, torch::kCPU, no_progress));
  }
  CHECK(results[0] != results[1]);
  CHECK(results[1] != results[2]);
}

TEST_CASE("scoring: a model with NaN weights and a timestep beyond the schedule are errors") {
  Queries q;
  const std::vector<jobs::Slot> beyond{{100, 0, 0}};
  CHECK_THROWS_WITH_AS((void)q.score(beyond, 0, 13, 16), doctest::Contains("100"), Error);
  CHECK_THROWS_AS((void)q.score(q.slots, 0, 13, 0), Error);
  {
    const torch::NoGradGuard no_grad;
    q.model->parameters()[0].fill_(NAN);
  }
  CHECK_THROWS_WITH_AS((void)q.score(q.slots, 0, 13, 16), doctest::Contains("real/0"), DivergenceError);
}

TEST_CASE("scoring: an evidence bound by the closed form equals the one by posterior means (methods.md 0.3.4.1)") {
  // methods: KL_t = sum (mu_q - mu_p)^2 / (2 v_t) = w_t ||eps - eps_hat||^2 with equal fixed variances.
  const jobs::NoiseSchedule schedule(test::tiny_diffusion());
  torch::manual_seed(1);
  const auto x0 = torch::randn({64}, torch::kFloat64), eps = torch::randn({64}, torch::kFloat64),
             hat = torch::randn({64}, torch::kFloat64);
  for (const std::uint32_t t : {1U, 10U, 50U, 90U}) {
    const double a = schedule.alpha_bar(t), before = schedule.alpha_bar(t - 1), beta = schedule.beta(t);
    const auto x_t = std::sqrt(a) * x0 + std::sqrt(1 - a) * eps;
    const auto x0_hat = (x_t - std::sqrt(1 - a) * hat) / std::sqrt(a);
    const double c0 = beta * std::sqrt(before) / (1 - a), variance = beta * (1 - before) / (1 - a);
    const double by_means = (c0 * (x0 - x0_hat)).square().sum().item<double>() / (2 * variance);
    const double closed = schedule.elbo_weight(t) * (eps - hat).square().sum().item<double>();
    CHECK(closed == doctest::Approx(by_means).epsilon(1e-9));
  }
}

TEST_CASE(
    "scoring: noise predictions that shrink by s score s^2 times the weighted noise, d s^2 sum w on average "
    "(methods.md 0.3.4.3)") {
  jobs::DiffusionConfig diffusion;
  diffusion.timesteps = 4000;
  const jobs::NoiseSchedule schedule(diffusion);
  constexpr double kShrink = 0.3;
  constexpr std::size_t kPixels = 3072;
  std::vector<float> eps(kPixels);
  double score = 0, noise = 0;
  for (std::uint32_t t = 10; t < 4000; t += 10) {
    fill_normal(7, query_id("generated/s0/0000"), t, 0, eps);
    double full = 0, without = 0;
    for (const float e : eps) {
      const double shrunk = (1 - kShrink) * e;
      without += (e - shrunk) * (e - shrunk);  // the full model predicts eps itself
      noise += schedule.elbo_weight(t) * double(e) * e;
    }
    score += schedule.elbo_weight(t) * (without - full);
  }
  CHECK(score == doctest::Approx(kShrink * kShrink * noise).epsilon(1e-9));
  // The sum of weighted chi-squares has a relative deviation of 0.3 %.
  CHECK(score == doctest::Approx(kShrink * kShrink * kPixels * 1.12887).epsilon(0.015));
}

TEST_CASE("scoring: the x_t of an antithetic pair add up to 2 sqrt(A_t) x_0") {
  // A model that predicts x_0 = 0 has the noise x_t / sigma_t and the error ||eps - x_t / sigma_t||^2: x_t is seen
  // through what v = 0 makes of it, eps_hat = sigma_t x_t.
  Queries q;
  {
    const torch::NoGradGuard no_grad;
    for (auto& weights : q.model->parameters()) weights.zero_();
  }
  auto diffusion = test::tiny_diffusion();
  diffusion.prediction = "v_prediction";
  const std::vector<jobs::Slot> pair{{35, 1, 0}, {35, 1, 0, true}};
  const auto losses = squared_errors(q.model, diffusion, q.images, q.names, pair, 16, 7, torch::kCPU, no_progress);
  const jobs::NoiseSchedule schedule(diffusion);
  const double sigma = schedule.sigma(35), scale = schedule.sqrt_alpha_bar(35);
  for (const std::int64_t query : {0, 4}) {
    std::vector<float> eps(64);
    fill_normal(7, query_id(q.names[static_cast<std::size_t>(query)]), 35, 1, eps);
    const torch::Tensor noise = torch::tensor(eps).reshape({1, 8, 8}), x0 = q.images[query];
    const torch::Tensor plus = scale * x0 + sigma * noise, minus = 2 * scale * x0 - plus;
    const auto at = static_cast<std::size_t>(2 * query);
    CHECK(losses[at] == doctest::Approx((noise - sigma * plus).square().sum().item<double>()).epsilon(1e-5));
    CHECK(losses[at + 1] == doctest::Approx((-noise - sigma * minus).square().sum().item<double>()).epsilon(1e-5));
    CHECK(losses[at] != losses[at + 1]);
  }
}

TEST_CASE("scoring: chosen queries have the losses that they have within their block") {
  Queries q;
  const auto all = q.score(q.slots, 0, 13, 16);
  QuerySet set{q.images, q.names, {}, {}, {}};
  set.items.resize(13);
  set.classes.resize(13);
  const std::vector<std::uint32_t> positions{2, 3, 11};
  const QuerySet some = chosen_queries(set, positions);
  q.images = some.images;
  q.names = some.names;
  const auto few = q.score(q.slots, 0, 3, 16);
  for (std::size_t i = 0; i < 3; ++i)
    CHECK(std::equal(few.begin() + i * 8, few.begin() + i * 8 + 8, all.begin() + positions[i] * 8));
  const std::vector<std::uint32_t> outside{13};
  CHECK_THROWS_AS((void)chosen_queries(set, outside), Error);
}
