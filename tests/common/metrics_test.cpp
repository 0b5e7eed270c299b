#include "common/metrics.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>

#include "common/error.hpp"

using namespace guda;
using doctest::Approx;
using metrics::Gain;
using Values = std::vector<double>;

namespace {

const Values kGold{5, 1, 4, -2, 0.5};
const Values kPredicted{0.2, 0.9, 0.8, 0.1, 0.3};

double value_of(const metrics::PerQuery& values, std::string_view name) {
  const auto at = std::find(metrics::kPerQuery.begin(), metrics::kPerQuery.end(), name);
  REQUIRE(at != metrics::kPerQuery.end());
  return values[static_cast<std::size_t>(at - metrics::kPerQuery.begin())];
}

Approx six_digits(double v) { return Approx(v).scale(1).epsilon(6e-7); }

}  // namespace

TEST_CASE("metrics: the published test vector of five groups is reproduced (methods.md 10.3)") {
  const auto values = metrics::per_query(kGold, kPredicted);
  CHECK(value_of(values, "top1") == 0);
  CHECK(value_of(values, "top3") == six_digits(0.666667));
  CHECK(value_of(values, "mrr") == six_digits(0.25));
  CHECK(value_of(values, "ndcg3_exp") == six_digits(0.378481));
  CHECK(value_of(values, "ndcg3_lin") == six_digits(0.722952));
  CHECK(value_of(values, "wpra3") == six_digits(0.615385));
  CHECK(metrics::wpra(kGold, kPredicted, 5) == six_digits(0.642857));
  CHECK(value_of(values, "rbo") == six_digits(0.237510));
  CHECK(value_of(values, "spearman") == six_digits(0.3));
  CHECK(value_of(values, "wpra_all") == six_digits(0.642857));
  CHECK(value_of(values, "cal_mse") == six_digits(5.871429));
  CHECK(value_of(values, "cal_mae") == six_digits(2.171429));
  CHECK(value_of(values, "cal_negative") == 0);
  const auto calibrated = metrics::calibrated_error(kGold, kPredicted);
  CHECK(calibrated.mse == six_digits(5.871429));
  CHECK(calibrated.mae == six_digits(2.171429));
  CHECK(metrics::descending_order(kGold) == std::vector<std::uint32_t>{0, 2, 1, 4, 3});
  CHECK(metrics::descending_order(kPredicted) == std::vector<std::uint32_t>{1, 2, 4, 0, 3});
}

TEST_CASE("metrics: a perfect prediction reaches every maximum (methods.md 10.3)") {
  const auto values = metrics::per_query(kGold, kGold);
  for (std::size_t m = 0; m < values.size(); ++m) {
    if (metrics::kPerQuery[m] == "rbo") {
      CHECK(values[m] == Approx(1 - std::pow(0.9, 5)));
    } else if (metrics::lower_is_better(metrics::kPerQuery[m])) {
      CHECK_MESSAGE(std::abs(values[m]) < 1e-12, metrics::kPerQuery[m]);
    } else {
      CHECK_MESSAGE(values[m] == Approx(1), metrics::kPerQuery[m]);
    }
  }
}

TEST_CASE("metrics: single functions give what the table gives") {
  const auto values = metrics::per_query(kGold, kPredicted);
  CHECK(metrics::top_overlap(kGold, kPredicted, 3) == value_of(values, "top3"));
  CHECK(metrics::ndcg(kGold, kPredicted, 5, Gain::exponential) == value_of(values, "ndcg5_exp"));
  CHECK(metrics::ndcg(kGold, kPredicted, 5, Gain::linear) == value_of(values, "ndcg5_lin"));
  CHECK(metrics::rbo(kGold, kPredicted) == value_of(values, "rbo"));
  CHECK(metrics::spearman(kGold, kPredicted) == value_of(values, "spearman"));
  CHECK(metrics::kendall(kGold, kPredicted) == value_of(values, "kendall"));
}

TEST_CASE("metrics: Kendall's tau-b counts pairs and corrects for ties") {
  CHECK(metrics::kendall(Values{1, 2, 3, 4}, Values{1, 3, 2, 4}) == Approx(4.0 / 6.0));
  // 5 untied gold pairs, 6 predicted ones, 5 concordant: 5 / sqrt(5 * 6)
  CHECK(metrics::kendall(Values{1, 1, 2, 3}, Values{1, 2, 3, 4}) == Approx(5 / std::sqrt(30.0)));
}

TEST_CASE("metrics: Spearman gives tied values the mean of their ranks") {
  // ranks 1.5 1.5 3 4 against 1 2 3 4
  CHECK(metrics::spearman(Values{4, 4, 2, 1}, Values{4, 3, 2, 1}) == Approx(4.5 / std::sqrt(4.5 * 5.0)));
}

TEST_CASE("metrics: constant vectors correlate with nothing") {
  const Values constant(5, 2.5);
  CHECK(metrics::spearman(kGold, constant) == 0);
  CHECK(metrics::kendall(constant, kGold) == 0);
  CHECK(metrics::pooled_sums(kGold, constant).r() == 0);
  CHECK(metrics::calibrated_error(kGold, constant).slope == 0);
}

TEST_CASE("metrics: ties of scores go to the smaller group index") {
  CHECK(metrics::descending_order(Values{1, 3, 3, 1}) == std::vector<std::uint32_t>{1, 2, 0, 3});
  CHECK(value_of(metrics::per_query(Values{1, 1}, Values{2, 1}), "top1") == 1);
  CHECK(value_of(metrics::per_query(Values{1, 1}, Values{1, 2}), "top1") == 0);
}

TEST_CASE("metrics: predicted ties are discordant in the CIFAR variant of WPRA and dropped in the other") {
  const Values gold{3, 2, 1}, tied{1, 1, 0};  // pairs: tied gap 1, concordant gaps 2 and 1
  CHECK(metrics::wpra(gold, tied, 3) == Approx(0.75));
  CHECK(metrics::wpra(gold, tied, 3, metrics::PredictedTies::dropped, 1e-6) == Approx(1.0));
}

TEST_CASE("metrics: an anti-correlated prediction shows by the sign of the slope, not by its calibrated error") {
  Values turned = kGold;
  for (double& v : turned) v = 1 - 2 * v;
  const auto calibrated = metrics::calibrated_error(kGold, turned);
  CHECK(calibrated.mse == Approx(0).epsilon(1e-12));
  CHECK(calibrated.slope == Approx(-0.5));
  CHECK(value_of(metrics::per_query(kGold, turned), "cal_negative") == 1);
  CHECK(value_of(metrics::per_query(kGold, turned), "pearson") == Approx(-1));
}

TEST_CASE("metrics: pooled sums add up to the Pearson correlation of the joined table") {
  const Values a{1, 2, 4, 8, 3, 5}, b{0, 1, 1, 5, 2, 9};
  auto parts = metrics::pooled_sums({a.data(), 2}, {b.data(), 2});
  parts += metrics::pooled_sums({a.data() + 2, 4}, {b.data() + 2, 4});
  CHECK(parts.r() == Approx(metrics::pooled_sums(a, b).r()));
  CHECK(parts.r() == Approx(0.662116).epsilon(1e-6));
}

TEST_CASE(
    "metrics: one fit to the whole table has the slope and the error of least squares, and is stricter than one per "
    "query") {
  const Values gold{1, 2, 4, 8, 3, 5}, predicted{0, 1, 1, 5, 2, 9};
  auto sums = metrics::pooled_sums({gold.data(), 3}, {predicted.data(), 3});
  sums += metrics::pooled_sums({gold.data() + 3, 3}, {predicted.data() + 3, 3});
  const auto whole = metrics::calibrated_error(gold, predicted);
  CHECK(sums.slope() == Approx(whole.slope));
  CHECK(sums.mse() == Approx(whole.mse));
  const double each = (metrics::calibrated_error({gold.data(), 3}, {predicted.data(), 3}).mse +
                       metrics::calibrated_error({gold.data() + 3, 3}, {predicted.data() + 3, 3}).mse) /
                      2;
  CHECK(sums.mse() > each);
  CHECK(metrics::pooled_sums(gold, Values(6, 2.0)).slope() == 0);
}

TEST_CASE("metrics: errors are better when lower and have no chance level; everything else has one") {
  for (const std::string_view metric : metrics::kPerQuery) {
    CHECK_MESSAGE(metrics::lower_is_better(metric) == metric.starts_with("cal_"), metric);
    if (metrics::has_chance(metric)) {
      CHECK_NOTHROW(static_cast<void>(metrics::chance(metric, 10)));
    } else {
      CHECK_THROWS_AS(static_cast<void>(metrics::chance(metric, 10)), Error);
    }
  }
  CHECK(metrics::lower_is_better("global_mse"));
  CHECK_FALSE(metrics::lower_is_better("pooled_r"));
}

TEST_CASE("metrics: NaN, infinity, emptiness and different sizes are refused") {
  Values bad = kPredicted;
  bad[2] = std::nan("");
  CHECK_THROWS_AS(static_cast<void>(metrics::per_query(kGold, bad)), Error);
  bad[2] = std::numeric_limits<double>::infinity();
  CHECK_THROWS_AS(static_cast<void>(metrics::spearman(bad, kGold)), Error);
  CHECK_THROWS_AS(static_cast<void>(metrics::per_query(Values{}, Values{})), Error);
  CHECK_THROWS_AS(static_cast<void>(metrics::per_query(Values{1}, Values{1, 2})), Error);
  CHECK_THROWS_AS(static_cast<void>(metrics::chance("top2", 10)), Error);
}

TEST_CASE("metrics: chance levels of ten and sixteen groups are those of the published table (methods.md 10.2)") {
  const auto four_digits = [](double v) { return Approx(v).scale(1).epsilon(6e-5); };
  CHECK(metrics::chance("top1", 10) == four_digits(0.1));
  CHECK(metrics::chance("mrr", 10) == four_digits(0.2929));
  CHECK(metrics::chance("ndcg3_exp", 10) == four_digits(0.2935));
  CHECK(metrics::chance("ndcg3_lin", 10) == four_digits(0.5956));
  CHECK(metrics::chance("ndcg5_exp", 10) == four_digits(0.3856));
  CHECK(metrics::chance("ndcg5_lin", 10) == four_digits(0.6483));
  CHECK(metrics::chance("rbo", 10) == four_digits(0.3026));
  CHECK(metrics::chance("ndcg10_exp", 10) == four_digits(0.5875));
  CHECK(metrics::chance("ndcg10_lin", 10) == four_digits(0.8339));
  CHECK(metrics::chance("ndcg10_exp", 16) == four_digits(0.3690));
  CHECK(metrics::chance("ndcg10_lin", 16) == four_digits(0.6749));
  CHECK(metrics::chance("top1", 16) == four_digits(0.0625));
  CHECK(metrics::chance("mrr", 16) == four_digits(0.2113));
  CHECK(metrics::chance("ndcg3_exp", 16) == four_digits(0.1849));
  CHECK(metrics::chance("ndcg3_lin", 16) == four_digits(0.5579));
  CHECK(metrics::chance("ndcg5_exp", 16) == four_digits(0.2427));
  CHECK(metrics::chance("ndcg5_lin", 16) == four_digits(0.5869));
  CHECK(metrics::chance("rbo", 16) == four_digits(0.3239));
  CHECK(metrics::chance("pooled_r", 16) == 0);
}

TEST_CASE("metrics: chance is the mean over all rankings, for any number of groups") {
  for (const std::size_t groups : {2U, 3U, 5U, 6U}) {
    Values gold(groups), predicted(groups);
    for (std::size_t k = 0; k < groups; ++k) gold[k] = std::exp(-0.7 * static_cast<double>(k * k));
    std::iota(predicted.begin(), predicted.end(), 0.0);
    metrics::PerQuery sums{};
    double rankings = 0;
    do {
      const auto values = metrics::per_query(gold, predicted);
      for (std::size_t m = 0; m < sums.size(); ++m) sums[m] += values[m];
      rankings += 1;
    } while (std::next_permutation(predicted.begin(), predicted.end()));
    for (std::size_t m = 0; m < sums.size(); ++m) {
      if (!metrics::has_chance(metrics::kPerQuery[m])) continue;
      CHECK_MESSAGE(sums[m] / rankings == Approx(metrics::chance(metrics::kPerQuery[m], groups)).epsilon(1e-9).scale(1),
                    metrics::kPerQuery[m] << " of " << groups);
    }
  }
}

TEST_CASE("metrics: thousands of groups do not overflow the exponential gain") {
  Values gold(3000);
  std::iota(gold.begin(), gold.end(), 0.0);
  CHECK(metrics::ndcg(gold, gold, 3, Gain::exponential) == Approx(1));
  CHECK(std::isfinite(metrics::chance("ndcg3_exp", gold.size())));
}

TEST_CASE("metrics: NDCG by gold values counts gains above the floor, and tied predictions share the mean of theirs") {
  // By the definition of scikit-learn's ndcg_score, computed in Python.
  const Values gold{7, 3, 6, 0, 2.5};
  CHECK(metrics::ndcg_by_value(gold, Values{0.2, 0.9, 0.8, 0.1, 0.3}, 0) == Approx(0.8269788364478804).epsilon(1e-9));
  CHECK(metrics::ndcg_by_value(gold, Values{0.9, 0.9, 0.8, 0.1, 0.1}, 0) == Approx(0.911264369787507).epsilon(1e-9));
  CHECK(metrics::ndcg_by_value(gold, gold, 0) == Approx(1));
  CHECK(metrics::ndcg_by_value(kGold, kPredicted, -2) ==
        Approx(metrics::ndcg_by_value(gold, Values{0.2, 0.9, 0.8, 0.1, 0.3}, 0)));  // kGold is gold - 2
  CHECK(metrics::ndcg_by_value(Values{1, 1}, Values{1, 2}, 1) == 0);
}
