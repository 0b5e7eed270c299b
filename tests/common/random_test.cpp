#include "common/random.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

using namespace guda;

TEST_CASE("random: the sequence is SplitMix64's") {
  // Reference outputs of the published C code (xoshiro.di.unimi.it/splitmix64.c) for seed 1234567.
  CHECK(random_bits(1234567, 0) == 6457827717110365317ULL);
  CHECK(random_bits(1234567, 1) == 3203168211198807973ULL);
  CHECK(random_bits(1234567, 2) == 9817491932198370423ULL);
}

TEST_CASE("random: a permutation holds every number once and all orders of three come up equally often") {
  std::vector<int> counts(27);
  for (std::uint64_t seed = 0; seed < 6000; ++seed) {
    const auto order = random_permutation(3, seed);
    ++counts[order[0] * 9 + order[1] * 3 + order[2]];
  }
  int orders = 0;
  for (const int count : counts) {
    if (count == 0) continue;
    ++orders;
    CHECK(count > 850);  // expected 1,000, standard deviation 29
    CHECK(count < 1150);
  }
  CHECK(orders == 6);
}

TEST_CASE("random: bounded numbers stay below the bound and uniforms in [0, 1)") {
  std::uint64_t counter = 0;
  std::vector<int> counts(7);
  for (int i = 0; i < 7000; ++i) ++counts.at(random_below(5, counter, 7));
  CHECK(*std::min_element(counts.begin(), counts.end()) > 850);
  double sum = 0;
  for (std::uint64_t i = 0; i < 10000; ++i) {
    const double u = random_uniform(3, i);
    REQUIRE(u >= 0);
    REQUIRE(u < 1);
    sum += u;
  }
  CHECK(sum / 10000 == doctest::Approx(0.5).epsilon(0.02));
}
