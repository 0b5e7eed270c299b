#include "common/raced_sums.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "common/error.hpp"

using namespace guda;
using doctest::Approx;

namespace {

/// Terms of three groups in two strata under noise that they share: means 1, 2 and 3 a stratum, the shared noise ten
/// times a group's own.
std::vector<std::vector<double>> noisy_terms(std::mt19937& engine, std::size_t units) {
  std::normal_distribution<double> normal;
  std::vector<std::vector<double>> terms(3, std::vector<double>(2 * units));
  for (std::size_t i = 0; i < 2 * units; ++i) {
    const double shared = 10 * normal(engine);
    for (std::size_t k = 0; k < 3; ++k) terms[k][i] = double(k + 1) + shared + normal(engine);
  }
  return terms;
}

}  // namespace

TEST_CASE("raced sums: with equal units a score is the plain mean with its stratified error") {
  const std::vector<std::vector<double>> terms{{1, 2, 6, 10, 20, 30}, {0, 0, 0, 1, 1, 1}};
  const auto sums = raced_sums(terms, 2, std::vector<std::size_t>{3, 3});
  CHECK(sums[0].value == Approx(3 + 20));
  CHECK(sums[0].variance == Approx(7.0 / 3 + 100.0 / 3));
  CHECK(sums[1].value == Approx(1));
  CHECK(sums[1].variance == Approx(0));
}

TEST_CASE("raced sums: a group that left is placed by its difference to those that stayed, over its own units") {
  // One stratum; group 1 is always 5 above group 0, which stays: the later units' noise is in neither's place.
  const auto sums = raced_sums({{1, 3, 100, 200}, {6, 8, -1, -1}}, 1, std::vector<std::size_t>{4, 2});
  CHECK(sums[0].value == Approx(76));
  CHECK(sums[1].value == Approx(81));
  CHECK(sums[1].variance == Approx(2.0 / 4));  // of y_1 over its two units, spread over four
}

TEST_CASE("raced sums: unbiased, with true errors, and far closer in rank than means over different units") {
  constexpr int kRepetitions = 20000;
  constexpr std::size_t kUnits = 24;
  std::mt19937 engine(7);
  const std::vector<std::size_t> units{8, 12, 24};
  double mean[3] = {}, square[3] = {}, variance[3] = {}, apart = 0, plainly_apart = 0;
  for (int r = 0; r < kRepetitions; ++r) {
    const auto terms = noisy_terms(engine, kUnits);
    const auto sums = raced_sums(terms, 2, units);
    for (std::size_t k = 0; k < 3; ++k) {
      mean[k] += sums[k].value / kRepetitions;
      square[k] += std::pow(sums[k].value - 2 * double(k + 1), 2) / kRepetitions;
      variance[k] += sums[k].variance / kRepetitions;
    }
    double plain[2] = {};
    for (std::size_t i = 0; i < 2; ++i) {
      for (std::size_t u = 0; u < 8; ++u) plain[0] += terms[0][i * kUnits + u] / 8;
      for (std::size_t u = 0; u < kUnits; ++u) plain[1] += terms[2][i * kUnits + u] / kUnits;
    }
    apart += std::pow(sums[2].value - sums[0].value - 4, 2) / kRepetitions;
    plainly_apart += std::pow(plain[1] - plain[0] - 4, 2) / kRepetitions;
  }
  for (std::size_t k = 0; k < 3; ++k) {
    CHECK(std::abs(mean[k] - 2 * double(k + 1)) < 4 * std::sqrt(square[k] / kRepetitions));
    CHECK(variance[k] == Approx(square[k]).epsilon(0.04));  // standard error of a variance over the repetitions: 1 %
  }
  CHECK(apart < plainly_apart / 20);
}

TEST_CASE("raced sums: a group without units is unknown, sizes that do not fit are refused") {
  const auto sums = raced_sums({{1, 2}, {3, 4}}, 1, std::vector<std::size_t>{2, 0});
  CHECK(sums[0].value == Approx(1.5));
  CHECK(std::isnan(sums[1].value));
  CHECK(std::isnan(sums[1].variance));
  CHECK(std::isnan(raced_sums({{1, 2}}, 1, std::vector<std::size_t>{1})[0].variance));
  CHECK_THROWS_AS((void)raced_sums({}, 1, std::vector<std::size_t>{}), Error);
  CHECK_THROWS_AS((void)raced_sums({{1, 2}}, 1, std::vector<std::size_t>{3}), Error);
  CHECK_THROWS_AS((void)raced_sums({{1, 2}, {1}}, 1, std::vector<std::size_t>{1, 1}), Error);
  CHECK_THROWS_AS((void)raced_sums({{1, 2, 3}}, 2, std::vector<std::size_t>{1}), Error);
}
