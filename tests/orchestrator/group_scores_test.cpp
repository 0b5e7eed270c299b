#include "orchestrator/group_scores.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "common/error.hpp"
#include "jobs/noise_schedule.hpp"
#include "jobs/slot_lists.hpp"
#include "tests/orchestrator/synthetic_run.hpp"

using namespace guda;
using doctest::Approx;
using orchestrator::group_scores;
using test::noise;

namespace {

const jobs::WeightingConfig kElbo{.name = "elbo", .kind = "elbo"};

struct Errors {
  double true_deviation = 0, mean_reported_variance = 0;
};

/// Brute force: thousands of queries that differ in their noise draws only. The true deviation of their scores against
/// what is reported for each of them. `mean` and `sigma` are functions of t in [0, 1].
Errors brute_force(std::uint32_t draws, const std::function<double(double)>& mean,
                   const std::function<double(double)>& sigma) {
  const auto plan = test::synthetic_plan({.groups = 1, .queries = 4000, .timesteps = 31, .draws = draws, .block = 4000},
                                         {{"logo", "logo"}, {"exact", "guda"}});
  auto table = test::empty_table(plan);
  test::fill_fulls(table);
  test::fill_losses(table, "exact", [&](std::size_t q, std::size_t, std::size_t s) {
    const double t = plan.slots[s].timestep / 1000.0;
    return mean(t) + sigma(t) * noise(draws, q, s);
  });
  const auto scores = group_scores(table, plan, "exact", kElbo, jobs::kMethodDraws);
  CHECK(scores.collapsed == (draws == 1));
  double sum = 0, squares = 0;
  Errors errors;
  const double n = static_cast<double>(scores.queries);
  for (std::size_t q = 0; q < scores.queries; ++q) {
    sum += scores.score[q] / n;
    errors.mean_reported_variance += scores.error[q] * scores.error[q] / n;
  }
  for (std::size_t q = 0; q < scores.queries; ++q) squares += std::pow(scores.score[q] - sum, 2) / n;
  errors.true_deviation = std::sqrt(squares);
  return errors;
}

}  // namespace

TEST_CASE("group scores: a score is the weighted sum of loss differences on the asked draw set") {
  const auto plan = test::synthetic_plan({.groups = 2, .queries = 3, .timesteps = 4, .draws = 2}, {{"logo", "logo"}});
  auto table = test::empty_table(plan);
  test::fill_fulls(table);
  test::fill_losses(table, "logo", [&](std::size_t q, std::size_t k, std::size_t s) {
    return (plan.slots[s].draw < 2 ? 1.0 : -1.0) * static_cast<double>(1 + q + 10 * k);
  });
  const auto oracle = group_scores(table, plan, "logo", kElbo, jobs::kOracleDraws);
  const auto other = group_scores(table, plan, "logo", kElbo, jobs::kMethodDraws);
  CHECK(oracle.row(2)[1] == Approx(13).epsilon(1e-6));  // the weights of one draw set sum to 1
  CHECK(other.row(2)[1] == Approx(-13).epsilon(1e-6));
}

TEST_CASE("group scores: a prediction that is short by a share s of the noise costs s^2 of the weighted noise energy") {
  // The full model predicts the noise exactly, the counterfactual (1 - s) of it; pixels as in CIFAR-10, grid 10..3990.
  constexpr std::size_t kPixels = 3072, kQueries = 3;
  constexpr double kShare = 0.3;
  const jobs::NoiseSchedule schedule({.timesteps = 4000, .schedule = "squaredcos_cap_v2"});
  auto plan = test::synthetic_plan({.groups = 1, .queries = kQueries, .timesteps = 399}, {{"logo", "logo"}});
  double sum_of_weights = 0;
  for (std::size_t s = 0; s < plan.slots.size(); ++s) {
    plan.slots[s].timestep = static_cast<std::uint32_t>(10 * (s % 399 + 1));
    plan.slots[s].weight = schedule.elbo_weight(plan.slots[s].timestep);
    if (plan.slots[s].draw == 0) sum_of_weights += plan.slots[s].weight;
  }
  CHECK(sum_of_weights == Approx(1.12887).epsilon(1e-5));
  auto table = test::empty_table(plan);
  table.losses.at("full").assign(table.losses.at("full").size(), 0.0F);
  std::mt19937_64 engine(1);
  std::chi_squared_distribution<double> energy(kPixels);  // ||eps||^2
  std::vector<double> expected(kQueries, 0.0);
  for (std::size_t q = 0; q < kQueries; ++q) {
    for (std::size_t s = 0; s < table.slots(); ++s) {
      const double noise_energy = energy(engine);
      table.losses.at("logo")[q * table.slots() + s] = static_cast<float>(kShare * kShare * noise_energy);
      if (plan.slots[s].draw == 0) expected[q] += plan.slots[s].weight * kShare * kShare * noise_energy;
    }
  }
  const auto scores = group_scores(table, plan, "logo", kElbo, jobs::kOracleDraws);
  for (std::size_t q = 0; q < kQueries; ++q) {
    CHECK(scores.row(q)[0] == Approx(expected[q]).epsilon(1e-6));
    CHECK(scores.row(q)[0] == Approx(kShare * kShare * kPixels * 1.12887).epsilon(0.02));
  }
}

TEST_CASE("group scores: weightings select timesteps, and flat ones count each timestep once") {
  const auto plan = test::synthetic_plan({.groups = 1, .queries = 1, .timesteps = 10, .draws = 2}, {{"logo", "logo"}});
  auto table = test::empty_table(plan);
  test::fill_fulls(table);
  test::fill_losses(table, "logo", [](auto...) { return 1.0; });
  const auto weightings = jobs::weightings_of(plan.experiment);
  REQUIRE(weightings.size() == 2);
  CHECK(weightings[1].name == "mid");
  CHECK(group_scores(table, plan, "logo", weightings[1], 0).score[0] == Approx(0.8).epsilon(1e-6));  // 150 ... 850
  const jobs::WeightingConfig flat{.name = "flat", .kind = "flat", .t_min = 250, .t_max = 450};
  CHECK(group_scores(table, plan, "logo", flat, 0).score[0] == Approx(2).epsilon(1e-6));
  // Timesteps are 50, 150, ..., 950.
  const jobs::NoiseSchedule schedule(plan.experiment.diffusion);
  double expected = 0;
  for (std::uint32_t t = 50; t < 1000; t += 100) expected += std::min(1.0, 5.0 / schedule.snr(t));
  const jobs::WeightingConfig min_snr{.name = "min_snr", .kind = "min_snr"};
  CHECK(group_scores(table, plan, "logo", min_snr, 0).score[0] == Approx(expected).epsilon(1e-6));
  const jobs::WeightingConfig custom{
      .name = "custom", .kind = "custom", .timesteps = {150, 350, 850}, .weights = {1, 3, 0.5}};
  // 1 up to 150, 2 at 250, 3 at 350, then down by 0.5 a step to 0.5 at 850 and beyond.
  CHECK(group_scores(table, plan, "logo", custom, 0).score[0] ==
        Approx(1 + 1 + 2 + 3 + 2.5 + 2 + 1.5 + 1 + 0.5 + 0.5).epsilon(1e-6));
  const jobs::WeightingConfig none{.name = "none", .kind = "elbo", .t_min = 1, .t_max = 2};
  CHECK_THROWS_AS(static_cast<void>(group_scores(table, plan, "logo", none, 0)), Error);
}

TEST_CASE("group scores: another LOGO seed is held against its own full model") {
  const auto plan = test::synthetic_plan({.groups = 1, .queries = 1}, {{"logo", "logo"}, {"logo_b", "logo"}}, "logo_b");
  auto table = test::empty_table(plan);
  test::fill_fulls(table);
  for (float& v : table.losses.at("full__logo_b")) v -= 2;
  for (const char* name : {"logo", "logo_b"}) test::fill_losses(table, name, [](auto...) { return 1.0; });
  CHECK(group_scores(table, plan, "logo", kElbo, 0).score[0] == Approx(1).epsilon(1e-6));
  CHECK(group_scores(table, plan, "logo_b", kElbo, 0).score[0] == Approx(3).epsilon(1e-6));
}

TEST_CASE("group scores: a counterfactual equal to the full model scores exactly zero with error zero") {
  for (const std::uint32_t draws : {1U, 3U}) {
    const auto plan =
        test::synthetic_plan({.groups = 2, .queries = 5, .draws = draws}, {{"logo", "logo"}, {"exact", "guda"}});
    auto table = test::empty_table(plan);
    test::fill_fulls(table);
    test::fill_losses(table, "exact", [](auto...) { return 0.0; });
    const auto scores = group_scores(table, plan, "exact", kElbo, jobs::kMethodDraws);
    for (const double v : scores.score) CHECK(v == 0);
    for (const double v : scores.error) CHECK(v == 0);
  }
}

TEST_CASE("group scores: a missing loss makes its query and group unknown and nothing else") {
  const auto plan = test::synthetic_plan({.groups = 3, .queries = 4}, {{"logo", "logo"}});
  auto table = test::empty_table(plan);
  test::fill_fulls(table);
  test::fill_losses(table, "logo", [](auto...) { return 1.0; });
  table.losses.at("logo")[(1 * 4 + 2) * table.slots() + 3] = std::nanf("");
  const auto scores = group_scores(table, plan, "logo", kElbo, jobs::kOracleDraws);
  for (std::size_t q = 0; q < 4; ++q) CHECK(scores.evaluated(q) == (q != 2));
  CHECK(std::isfinite(scores.row(2)[0]));
  CHECK(group_scores(table, plan, "logo", kElbo, jobs::kMethodDraws).evaluated(2));
}

TEST_CASE("group scores: errors from several draws match brute force whatever the timesteps do") {
  const auto errors = brute_force(
      3, [](double t) { return std::sin(9 * t) + 5 * t; }, [](double t) { return 0.2 + (t < 0.1 ? 3 : 0); });
  CHECK(std::sqrt(errors.mean_reported_variance) == Approx(errors.true_deviation).epsilon(0.04));
}

TEST_CASE("group scores: collapsed errors match brute force where the mean is smooth in t") {
  const auto errors = brute_force(1, [](double t) { return 1 + t * (1 - t); }, [](double t) { return 0.5 + t; });
  CHECK(std::sqrt(errors.mean_reported_variance) == Approx(errors.true_deviation).epsilon(0.04));
}

TEST_CASE("group scores: collapsed errors are too large, never too small, where the mean is rough") {
  const auto errors = brute_force(1, [](double t) { return 6 * std::sin(60 * t); }, [](double) { return 0.5; });
  CHECK(std::sqrt(errors.mean_reported_variance) > 2 * errors.true_deviation);
}

TEST_CASE("group scores: the mean of two tables has the error of independent ones") {
  orchestrator::GroupScores a{.queries = 1, .groups = 2, .score = {1, 2}, .error = {3, 0}, .collapsed = true};
  orchestrator::GroupScores b{.queries = 1, .groups = 2, .score = {3, 6}, .error = {4, 0}, .collapsed = false};
  const auto mean = orchestrator::mean_of(a, b);
  CHECK(mean.score == std::vector<double>{2, 4});
  CHECK(mean.error[0] == Approx(2.5));
  CHECK(mean.collapsed);
}

namespace {

/// A plan of one method on pairs, or on drawn slots.
jobs::Plan with_slots(std::uint32_t queries, const jobs::ScoringConfig& scoring) {
  auto plan =
      test::synthetic_plan({.groups = 1, .queries = queries, .block = queries}, {{"logo", "logo"}, {"exact", "guda"}});
  plan.experiment.scoring = scoring;
  plan.slots = jobs::slot_axis(plan.experiment, {});
  return plan;
}

}  // namespace

TEST_CASE("group scores: an antithetic pair counts as one draw") {
  jobs::ScoringConfig scoring;
  scoring.antithetic = true;
  scoring.draws = 2;
  const auto plan = with_slots(4000, scoring);
  auto table = test::empty_table(plan);
  test::fill_fulls(table);
  // An odd part that cancels within a pair and an even one that does not.
  test::fill_losses(table, "exact", [&](std::size_t q, std::size_t, std::size_t s) {
    const double sign = plan.slots[s].negated ? -1 : 1;
    return 1 + sign * 3 * noise(1, q, s / 2) + 0.5 * noise(2, q, s / 2);
  });
  const auto scores = group_scores(table, plan, "exact", kElbo, jobs::kMethodDraws);
  CHECK_FALSE(scores.collapsed);
  double mean = 0, squares = 0, reported = 0;
  for (const double v : scores.score) mean += v / 4000;
  for (std::size_t q = 0; q < 4000; ++q) {
    squares += std::pow(scores.score[q] - mean, 2) / 4000;
    reported += scores.error[q] * scores.error[q] / 4000;
  }
  CHECK(std::sqrt(reported) == Approx(std::sqrt(squares)).epsilon(0.04));
  scoring.draws = 1;
  const auto single = with_slots(1, scoring);
  auto one = test::empty_table(single);
  test::fill_fulls(one);
  test::fill_losses(one, "exact", [](auto...) { return 1.0; });
  CHECK(group_scores(one, single, "exact", kElbo, jobs::kMethodDraws).collapsed);
}

TEST_CASE("group scores: drawn slots give the grid's sum with true errors, in every view") {
  jobs::ScoringConfig scoring;
  scoring.allocation = "weight";
  scoring.slots = 40;
  for (const bool antithetic : {false, true}) {
    scoring.antithetic = antithetic;
    const jobs::WeightingConfig mid{.name = "mid", .kind = "elbo", .t_min = 100, .t_max = 900};
    const jobs::WeightingConfig flat{.name = "flat", .kind = "flat"};
    for (const auto& view : {kElbo, mid, flat}) {
      // One query a plan: every list of slots is a draw of its own.
      constexpr int kLists = 1500;
      std::vector<double> estimates;
      double reported = 0, truth = 0;
      for (int seed = 0; seed < kLists; ++seed) {
        auto plan = with_slots(1, scoring);
        plan.experiment.seeds = {static_cast<std::uint64_t>(seed)};
        plan.slots = jobs::slot_axis(plan.experiment, {});
        const jobs::NoiseSchedule schedule(plan.experiment.diffusion);
        const auto mean_at = [](std::uint32_t t) { return 2 + std::cos(t / 150.0); };
        truth = 0;
        for (const std::uint32_t t : jobs::scored_timesteps(scoring))
          truth += jobs::timestep_weight(view, schedule, t) * mean_at(t);
        auto table = test::empty_table(plan);
        test::fill_fulls(table);
        test::fill_losses(table, "exact", [&](std::size_t, std::size_t, std::size_t s) {
          return mean_at(plan.slots[s].timestep) + noise(3, static_cast<std::size_t>(seed), s);
        });
        const auto scores = group_scores(table, plan, "exact", view, jobs::kMethodDraws);
        CHECK_FALSE(scores.collapsed);
        estimates.push_back(scores.score[0]);
        reported += scores.error[0] * scores.error[0] / kLists;
      }
      double mean = 0, squares = 0;
      for (const double v : estimates) mean += v / kLists;
      for (const double v : estimates) squares += (v - mean) * (v - mean) / kLists;
      CHECK(std::abs(mean - truth) < 4 * std::sqrt(squares / kLists));
      CHECK(std::sqrt(reported) == Approx(std::sqrt(squares)).epsilon(0.08));
    }
  }
}

TEST_CASE("group scores: a view none of whose timesteps was drawn is not evaluated") {
  jobs::ScoringConfig scoring;
  scoring.allocation = "weight";
  scoring.slots = 2;
  const auto plan = with_slots(1, scoring);
  auto table = test::empty_table(plan);
  test::fill_fulls(table);
  test::fill_losses(table, "exact", [](auto...) { return 1.0; });
  const jobs::WeightingConfig nothing{.name = "nothing", .kind = "elbo", .t_min = 11, .t_max = 12};
  CHECK_FALSE(group_scores(table, plan, "exact", nothing, jobs::kMethodDraws).evaluated(0));
  CHECK(group_scores(table, plan, "exact", kElbo, jobs::kMethodDraws).evaluated(0));
}
