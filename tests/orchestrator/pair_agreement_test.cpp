#include "orchestrator/pair_agreement.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "common/metrics.hpp"
#include "orchestrator/comparison.hpp"
#include "tests/orchestrator/synthetic_run.hpp"

using namespace guda;
using namespace guda::orchestrator;
using doctest::Approx;

namespace {

constexpr std::size_t kMetrics = metrics::kPerQuery.size() + 1;

GroupScores scores_of(std::uint64_t stream, std::size_t queries, std::size_t groups) {
  GroupScores s{.queries = queries, .groups = groups, .score = {}, .error = {}, .collapsed = false};
  for (std::size_t i = 0; i < queries * groups; ++i)
    s.score.push_back(test::noise(1, i, 0) + test::noise(stream, i, 1));
  return s;
}

/// The definition, query by query: every metric averaged over a list of queries that may repeat.
std::vector<double> plainly(const Pair& pair, const std::vector<std::size_t>& drawn,
                            const std::vector<std::size_t>& all) {
  std::vector<double> result(kMetrics, 0.0), gold, predicted;
  for (const std::size_t q : drawn) {
    const std::vector<double> g(pair.gold->row(q), pair.gold->row(q) + pair.gold->groups);
    const std::vector<double> p(pair.predicted->row(q), pair.predicted->row(q) + pair.gold->groups);
    const auto values = metrics::per_query(g, p, floor_of(*pair.gold, all));
    for (std::size_t m = 0; m + 1 < kMetrics; ++m) result[m] += values[m] / static_cast<double>(drawn.size());
    gold.insert(gold.end(), g.begin(), g.end());
    predicted.insert(predicted.end(), p.begin(), p.end());
  }
  double gold_mean = 0, predicted_mean = 0, gg = 0, pp = 0, gp = 0;
  for (std::size_t i = 0; i < gold.size(); ++i) {
    gold_mean += gold[i] / static_cast<double>(gold.size());
    predicted_mean += predicted[i] / static_cast<double>(gold.size());
  }
  for (std::size_t i = 0; i < gold.size(); ++i) {
    gg += (gold[i] - gold_mean) * (gold[i] - gold_mean);
    pp += (predicted[i] - predicted_mean) * (predicted[i] - predicted_mean);
    gp += (gold[i] - gold_mean) * (predicted[i] - predicted_mean);
  }
  result.back() = gp / std::sqrt(gg * pp);
  return result;
}

std::vector<std::size_t> drawn(const Resampler& resampler, std::uint32_t b, const std::vector<std::size_t>& queries) {
  const auto counts = resampler.counts(b);
  std::vector<std::size_t> list;
  for (std::size_t i = 0; i < counts.size(); ++i) list.insert(list.end(), counts[i], queries[i]);
  return list;
}

void check_same(double got, double expected) { CHECK(std::abs(got - expected) < 1e-12); }

}  // namespace

TEST_CASE("pair agreement: sample and resamples equal the plain definition over the drawn queries") {
  const GroupScores gold = scores_of(2, 50, 7), a = scores_of(3, 50, 7), b = scores_of(4, 50, 7);
  std::vector<std::size_t> queries;
  std::vector<std::uint64_t> seeds;
  for (std::size_t q = 0; q < 50; ++q) {
    if (q % 9 == 4) continue;  // not evaluated
    queries.push_back(q);
    seeds.push_back(q / 20);
  }
  constexpr std::uint32_t kResamples = 37;  // neither a multiple of the tile nor even
  PairAgreements agreements(queries, seeds, 11, kResamples);
  agreements.measure({{&gold, &a}, {&gold, &b}});
  const Resampler resampler(seeds, 11);
  for (const Pair& pair : {Pair{&gold, &a}, Pair{&gold, &b}}) {
    const Measured measured = agreements.mean_of({pair});
    const auto sample = plainly(pair, queries, queries);
    for (std::size_t m = 0; m < kMetrics; ++m) check_same(measured.value[m], sample[m]);
    for (std::uint32_t r = 0; r < kResamples; ++r) {
      const auto expected = plainly(pair, drawn(resampler, r, queries), queries);
      for (std::size_t m = 0; m < kMetrics; ++m) check_same(measured.resampled[m][r], expected[m]);
    }
  }
}

TEST_CASE(
    "pair agreement: resamples of whole query groups equal the plain definition over the groups that were drawn") {
  const GroupScores gold = scores_of(2, 40, 6), a = scores_of(3, 40, 6), b = scores_of(4, 40, 6);
  std::vector<std::size_t> queries;
  std::vector<std::uint64_t> groups;
  for (std::size_t q = 0; q < 40; ++q) {
    if (q % 7 == 3) continue;
    queries.push_back(q);
    groups.push_back(q * q % 5);  // of different sizes
  }
  const std::vector<std::uint64_t> seeds(queries.size(), 0);
  constexpr std::uint32_t kResamples = 41;
  PairAgreements with(queries, seeds, 11, kResamples, {}, groups), without(queries, seeds, 11, kResamples);
  const std::vector<Pair> pairs{{&gold, &a}, {&gold, &b}};
  with.measure(pairs);
  without.measure(pairs);
  const Measured mean = with.mean_of(pairs);
  CHECK(mean.resampled == without.mean_of(pairs).resampled);
  CHECK(without.mean_of(pairs).by_groups.empty());
  for (std::uint32_t r = 0; r < kResamples; ++r) {
    std::vector<std::size_t> list;
    const auto counts = Resampler(groups, 11, Within::whole).counts(r);
    for (std::size_t i = 0; i < counts.size(); ++i) list.insert(list.end(), counts[i], queries[i]);
    const auto of_a = plainly(pairs[0], list, queries), of_b = plainly(pairs[1], list, queries);
    for (std::size_t m = 0; m < kMetrics; ++m) check_same(mean.by_groups[m][r], (of_a[m] + of_b[m]) / 2);
  }
}

TEST_CASE("pair agreement: a pair's numbers do not depend on what is measured beside or before it") {
  const GroupScores gold = scores_of(2, 30, 5), a = scores_of(3, 30, 5), b = scores_of(4, 30, 5),
                    c = scores_of(5, 30, 5);
  std::vector<std::size_t> queries(30);
  for (std::size_t q = 0; q < 30; ++q) queries[q] = q;
  const std::vector<std::uint64_t> seeds(30, 0);
  PairAgreements together(queries, seeds, 1, 50), one_by_one(queries, seeds, 1, 50);
  together.measure({{&gold, &a}, {&gold, &b}, {&gold, &c}, {&a, &b}});
  for (const Pair& pair : {Pair{&a, &b}, Pair{&gold, &c}, Pair{&gold, &b}, Pair{&gold, &a}}) {
    one_by_one.measure({pair});
    one_by_one.measure({pair});  // nothing new
    const Measured x = together.mean_of({pair}), y = one_by_one.mean_of({pair});
    CHECK(x.value == y.value);
    CHECK(x.resampled == y.resampled);
  }
}

TEST_CASE("pair agreement: medians and standard deviations are over queries; global_mae is that of one fit to all") {
  GroupScores gold{.queries = 3, .groups = 2, .score = {1, 0, 2, 0, 0, 3}, .error = {}, .collapsed = false},
      guess = gold;
  guess.score = {2, 0, 4, 0, 0, 5};
  PairAgreements agreements({0, 1, 2}, {0, 0, 0}, 1, 5);
  agreements.measure({{&gold, &guess}});
  const Measured measured = agreements.mean_of({{&gold, &guess}});
  const auto index = [](std::string_view name) {
    std::size_t m = 0;
    while (metric_name(m) != name) ++m;
    return m;
  };
  // Within a query of two groups every fit is exact: g = s / 2, s / 2, 3 s / 5.
  CHECK(measured.value[index("cal_mae")] == doctest::Approx(0));
  // All six: s has mean 11/6, g mean 1; covariance and variance give the slope.
  const double s[] = {2, 0, 4, 0, 0, 5}, g[] = {1, 0, 2, 0, 0, 3};
  double sg = 0, ss = 0, mae = 0;
  for (int i = 0; i < 6; ++i) sg += (s[i] - 11.0 / 6) * (g[i] - 1), ss += (s[i] - 11.0 / 6) * (s[i] - 11.0 / 6);
  for (int i = 0; i < 6; ++i) mae += std::abs(g[i] - 1 - sg / ss * (s[i] - 11.0 / 6)) / 6;
  CHECK(measured.value[index("global_mae")] == doctest::Approx(mae));
  const std::size_t m = index("ndcg_val");
  CHECK(measured.median[m] == doctest::Approx(1));
  CHECK(measured.sd[m] == doctest::Approx(0));
  guess.score = {2, 0, 0, 4, 0, 5};  // the second query the wrong way round: top1 is 1, 0, 1
  PairAgreements again({0, 1, 2}, {0, 0, 0}, 1, 5);
  again.measure({{&gold, &guess}});
  CHECK(again.mean_of({{&gold, &guess}}).median[0] == 1);
  CHECK(again.mean_of({{&gold, &guess}}).sd[0] == doctest::Approx(std::sqrt(2.0) / 3));
}

TEST_CASE("pair agreement: every number of every view equals the plain bootstrap of its pairs") {
  jobs::Plan plan =
      test::synthetic_plan({.queries = 24, .timesteps = 10, .seeds = {0, 1}, .sets = {"generated", "real"}},
                           {{"logo", "logo"}, {"logo_b", "logo"}, {"exact", "guda"}, {"knn", "knn"}}, "logo_b");
  plan.experiment.comparison.bootstrap = 40;
  ResultsTable table = test::empty_table(plan);
  test::fill_fulls(table);
  std::uint64_t stream = 30;
  for (const char* name : {"logo", "logo_b", "exact"}) {
    ++stream;
    test::fill_losses(table, name,
                      [&](auto q, auto k, auto s) { return test::noise(1, q, k) + test::noise(stream, q, k, s); });
  }
  for (std::size_t i = 0; i < table.scores.at("knn").size(); ++i) table.scores["knn"][i] = test::noise(40, i, 0);
  const Comparison comparison = compare(table, plan, {});
  REQUIRE(comparison.views.size() == 2 * 2 * 2 * 4);
  for (const View& view : comparison.views) {
    std::vector<std::size_t> queries;
    std::vector<std::uint64_t> seeds;
    for (std::size_t q = 0; q < table.queries(); ++q) {
      if (plan.queries[q].set != view.query_set) continue;
      queries.push_back(q);
      seeds.push_back(plan.queries[q].seed);
    }
    const auto weighting = jobs::weightings_of(plan.experiment)[view.weighting == "elbo" ? 0 : 1];
    const auto draws = view.draws == "independent" ? jobs::kOracleDraws : jobs::kMethodDraws;
    const auto of = [&](const char* method, std::uint32_t set) {
      return group_scores(table, plan, method, weighting, set);
    };
    std::vector<GroupScores> golds;
    if (view.reference != "logo_b") golds.push_back(of("logo", draws));
    if (view.reference != "logo") golds.push_back(of("logo_b", draws));
    if (view.kind == ReferenceKind::mean) golds = {mean_of(golds[0], golds[1])};
    const Resampler resampler(seeds,
                              (SeedPath(plan.experiment.comparison.seed) / "comparison" / view.query_set).value());
    for (const char* method : {"exact", "knn"}) {
      const GroupScores predicted = of(method, jobs::kMethodDraws);
      std::vector<double> value(kMetrics, 0.0);
      std::vector<std::vector<double>> resampled(kMetrics, std::vector<double>(40, 0.0));
      for (const GroupScores& gold : golds) {
        const double share = 1.0 / static_cast<double>(golds.size());
        const auto sample = plainly({&gold, &predicted}, queries, queries);
        for (std::size_t m = 0; m < kMetrics; ++m) value[m] += share * sample[m];
        for (std::uint32_t r = 0; r < 40; ++r) {
          const auto one = plainly({&gold, &predicted}, drawn(resampler, r, queries), queries);
          for (std::size_t m = 0; m < kMetrics; ++m) resampled[m][r] += share * one[m];
        }
      }
      for (std::size_t m = 0; m < kMetrics; ++m) {
        CAPTURE(view.reference);
        const Interval got = view.methods.at(method).metrics.at(metric_name(m)).estimate;
        std::sort(resampled[m].begin(), resampled[m].end());
        const auto quantile = [&](double p) {
          const double at = p * 39;
          const auto i = static_cast<std::size_t>(at);
          return resampled[m][i] +
                 (at - std::floor(at)) * (resampled[m][std::min<std::size_t>(i + 1, 39)] - resampled[m][i]);
        };
        check_same(got.value, value[m]);
        check_same(got.low, quantile((1 - comparison.confidence) / 2));
        check_same(got.high, quantile((1 + comparison.confidence) / 2));
      }
    }
  }
}
