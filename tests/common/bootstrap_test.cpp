#include "common/bootstrap.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "common/error.hpp"

using namespace guda;
using doctest::Approx;

namespace {

std::vector<std::uint64_t> one_cluster(std::size_t n) { return std::vector<std::uint64_t>(n, 7); }

double deviation(const std::vector<double>& values) {
  const double n = static_cast<double>(values.size());
  const double mean = std::accumulate(values.begin(), values.end(), 0.0) / n;
  double squares = 0;
  for (const double v : values) squares += (v - mean) * (v - mean) / n;
  return std::sqrt(squares);
}

}  // namespace

TEST_CASE("bootstrap: a resample depends on seed and number only, not on what was drawn before") {
  const Resampler a(one_cluster(50), 3), b(one_cluster(50), 3), other(one_cluster(50), 4);
  const auto late = a.counts(17);
  static_cast<void>(b.counts(1));
  CHECK(b.counts(17) == late);
  CHECK(b.counts(18) != late);
  CHECK(other.counts(17) != late);
}

TEST_CASE("bootstrap: a resample of one cluster has as many draws as queries") {
  const Resampler resampler(one_cluster(40), 0);
  for (std::uint32_t b = 0; b < 20; ++b) {
    const auto counts = resampler.counts(b);
    CHECK(std::accumulate(counts.begin(), counts.end(), 0U) == 40U);
  }
}

TEST_CASE("bootstrap: with several seeds whole clusters are drawn") {
  std::vector<std::uint64_t> clusters;
  for (const std::uint64_t seed : {5ULL, 9ULL, 11ULL}) clusters.insert(clusters.end(), 30, seed);
  const Resampler resampler(clusters, 1);
  std::size_t absent = 0;
  for (std::uint32_t b = 0; b < 200; ++b) {
    const auto counts = resampler.counts(b);
    for (std::size_t c = 0; c < 3; ++c) {
      const auto drawn = std::accumulate(counts.begin() + static_cast<long>(30 * c),
                                         counts.begin() + static_cast<long>(30 * (c + 1)), 0U);
      CHECK(drawn % 30 == 0);
      absent += drawn == 0;
    }
  }
  // A cluster is missing with probability (2/3)^3 = .296.
  CHECK(static_cast<double>(absent) / 600 == Approx(0.296).epsilon(0.15));
}

TEST_CASE("bootstrap: seeds that differ widen the interval of a clustered mean") {
  std::vector<std::uint64_t> clusters;
  std::vector<double> values;
  for (std::uint64_t seed = 0; seed < 3; ++seed) {
    for (int i = 0; i < 100; ++i) {
      clusters.push_back(seed);
      values.push_back(static_cast<double>(seed) + 0.01 * (i % 2));
    }
  }
  const auto clustered = resampled_means(Resampler(clusters, 0), 500, values, 1);
  const auto pooled = resampled_means(Resampler(one_cluster(300), 0), 500, values, 1);
  CHECK(deviation(clustered) > 5 * deviation(pooled));
}

TEST_CASE("bootstrap: the spread of a resampled mean is its standard error") {
  std::vector<double> table;  // columns: i % 2, 3
  for (int i = 0; i < 400; ++i) table.insert(table.end(), {static_cast<double>(i % 2), 3.0});
  const auto means = resampled_means(Resampler(one_cluster(400), 5), 2001, table, 2);
  std::vector<double> first;
  for (std::size_t b = 0; b < 2001; ++b) {
    first.push_back(means[2 * b]);
    CHECK(means[2 * b + 1] == Approx(3.0));
  }
  CHECK(deviation(first) == Approx(0.5 / std::sqrt(400.0)).epsilon(0.06));
  const Interval interval = percentile_interval(0.5, first, 0.95);
  CHECK(interval.low == Approx(0.5 - 1.96 * 0.025).epsilon(0.02));
  CHECK(interval.high == Approx(0.5 + 1.96 * 0.025).epsilon(0.02));
}

TEST_CASE("bootstrap: percentiles interpolate between order statistics") {
  const Interval interval = percentile_interval(2, {4, 0, 3, 1, 2}, 0.75);
  CHECK(interval.value == 2);
  CHECK(interval.low == Approx(0.5));
  CHECK(interval.high == Approx(3.5));
  CHECK_THROWS_AS(static_cast<void>(percentile_interval(2, {1}, 95)), Error);
}

TEST_CASE("bootstrap: the p-value is small when best is always above and one when it never is") {
  const std::vector<double> high(999, 2.0), low(999, 1.0);
  CHECK(p_not_better(high, low) == Approx(1.0 / 1000));
  CHECK(p_not_better(high, high) == 1);
  CHECK(p_not_better(low, high) == 1);
}

TEST_CASE("bootstrap: paired resamples find a small steady difference that separate intervals hide") {
  std::vector<double> table;
  for (int i = 0; i < 200; ++i) {
    const double hard = i % 2;  // queries differ much more than methods
    table.insert(table.end(), {hard + 0.02 + 0.01 * (i % 3), hard});
  }
  const auto means = resampled_means(Resampler(one_cluster(200), 2), 500, table, 2);
  std::vector<double> a, b;
  for (std::size_t i = 0; i < 500; ++i) {
    a.push_back(means[2 * i]);
    b.push_back(means[2 * i + 1]);
  }
  CHECK(percentile_interval(0, a, 0.95).low < percentile_interval(0, b, 0.95).high);
  CHECK(p_not_better(a, b) < 0.01);
}

TEST_CASE("bootstrap: no query is an error") { CHECK_THROWS_AS(Resampler({}, 0), Error); }

TEST_CASE("bootstrap: clusters that are taken whole occur as in the enumeration of all draws (methods.md 10.4)") {
  const std::vector<std::uint64_t> groups{4, 4, 9, 7, 9, 9};  // sizes 2, 3, 1
  const Resampler resampler(groups, 5, Within::whole);
  // All 27 draws of three groups out of three, by the number of queries in each and their mean of 0, 1, 2, ...
  std::vector<double> every;
  const std::vector<std::vector<std::size_t>> members{{0, 1}, {2, 4, 5}, {3}};
  for (std::size_t draw = 0; draw < 27; ++draw) {
    double sum = 0, count = 0;
    for (const std::size_t group : {draw % 3, draw / 3 % 3, draw / 9}) {
      for (const std::size_t q : members[group]) sum += static_cast<double>(q), ++count;
    }
    every.push_back(sum / count);
  }
  constexpr std::uint32_t kResamples = 20000;
  std::vector<double> table;
  for (std::size_t q = 0; q < groups.size(); ++q) table.push_back(static_cast<double>(q));
  const std::vector<double> means = resampled_means(resampler, kResamples, table, 1);
  for (const double value : every) {
    const auto is = [&](double other) { return std::abs(value - other) < 1e-9; };
    const double expected = static_cast<double>(std::count_if(every.begin(), every.end(), is)) / 27;
    const double share = static_cast<double>(std::count_if(means.begin(), means.end(), is)) / kResamples;
    CHECK(std::abs(share - expected) < 5 * std::sqrt(expected / kResamples));
  }
  for (std::uint32_t b = 0; b < 50; ++b) {
    const auto counts = resampler.counts(b);
    CHECK(counts[0] == counts[1]);
    CHECK(counts[2] == counts[4]);
    CHECK(counts[2] == counts[5]);
    CHECK(counts[0] + counts[2] + counts[3] == 3);
  }
}

TEST_CASE("bootstrap: whole groups give the spread of a mean of correlated queries, single queries a smaller one") {
  // Query q of group g has the value u_g + e_q: the variance of the mean is (s_u^2 + s_e^2 / m) / groups.
  constexpr std::size_t kGroups = 60, kEach = 20;
  std::vector<std::uint64_t> groups, alone(kGroups * kEach, 0);
  std::vector<double> table;
  for (std::size_t g = 0; g < kGroups; ++g) {
    for (std::size_t j = 0; j < kEach; ++j) {
      groups.push_back(g);
      table.push_back(std::sin(12.9898 * static_cast<double>(g)) +
                      std::sin(78.233 * static_cast<double>(table.size())));
    }
  }
  double within = 0, between = 0, mean = std::accumulate(table.begin(), table.end(), 0.0) / double(table.size());
  for (std::size_t g = 0; g < kGroups; ++g) {
    const auto first = table.begin() + static_cast<std::ptrdiff_t>(g * kEach);
    const double own = std::accumulate(first, first + kEach, 0.0) / kEach;
    between += (own - mean) * (own - mean) / kGroups;
    for (auto at = first; at != first + kEach; ++at) within += (*at - own) * (*at - own) / double(table.size());
  }
  const auto spread = [&](const Resampler& resampler) { return deviation(resampled_means(resampler, 2000, table, 1)); };
  CHECK(spread(Resampler(groups, 1, Within::whole)) == Approx(std::sqrt(between / kGroups)).epsilon(0.07));
  CHECK(spread(Resampler(alone, 1)) == Approx(std::sqrt((between + within) / double(table.size()))).epsilon(0.07));
}
