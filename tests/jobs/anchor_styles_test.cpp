#include "jobs/anchor_styles.hpp"

#include <doctest/doctest.h>

#include <numeric>

#include "common/error.hpp"

using namespace guda;
using namespace guda::jobs;

TEST_CASE("anchor styles: shares follow the cosines (the numeric check of methods.md 2.4)") {
  const std::vector<double> cosines{0.9, 0.8, 0.5, 0.7};
  const auto shares = anchor_distribution(cosines, 0, 2, 0.3);
  CHECK(shares[0] == 0);
  CHECK(shares[1] == doctest::Approx(0.395665).epsilon(1e-5));
  CHECK(shares[2] == doctest::Approx(0.262265).epsilon(1e-5));
  CHECK(shares[3] == doctest::Approx(0.342070).epsilon(1e-5));
}

TEST_CASE("anchor styles: eta 1 and beta 0 are uniform, the forgotten style has no share (methods.md 2.9.1)") {
  const std::vector<double> cosines{0.1, 0.9, -0.3, 0.5, 0.2};
  for (const auto& shares : {anchor_distribution(cosines, 3, 2, 1), anchor_distribution(cosines, 3, 0, 0.3)}) {
    for (std::size_t s = 0; s < 5; ++s) CHECK(shares[s] == doctest::Approx(s == 3 ? 0 : 0.25));
  }
  const auto sharp = anchor_distribution(cosines, 3, 1000, 0);  // no exponent overflows
  CHECK(sharp[1] == doctest::Approx(1));
  CHECK(std::accumulate(sharp.begin(), sharp.end(), 0.0) == doctest::Approx(1));
  CHECK_THROWS_AS((void)anchor_distribution(std::vector<double>{1}, 0, 2, 0.3), Error);
}

TEST_CASE("anchor styles: a uniform number picks the style that it falls on, never one without a share") {
  const std::vector<double> shares{0.25, 0, 0.5, 0.25, 0};
  CHECK(pick(shares, 0) == 0);
  CHECK(pick(shares, 0.2499) == 0);
  CHECK(pick(shares, 0.25) == 2);
  CHECK(pick(shares, 0.7499) == 2);
  CHECK(pick(shares, 0.75) == 3);
  CHECK(pick(shares, 1) == 3);
}
