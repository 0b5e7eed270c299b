#include "common/racing.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "common/error.hpp"
#include "tests/support/gaussian_mixture.hpp"

using namespace guda;
using doctest::Approx;
using test::GaussianMixture;
using Values = std::vector<double>;

namespace {

constexpr std::uint32_t kRaces = 2000;
/// A share of 5 % of 2,000 races has a binomial standard error of 9.7 races: 100 - 4 x 9.7 = 61 wrong ones at most show
/// that the rate is below 5 %; more than 100 + 4 x 9.7 = 138 would show that it is above.
constexpr std::uint32_t kSurelyBelow = 61, kNotAbove = 138;

/// Groups of the given means, unit noise of standard deviation 1.
Values unit_of(const Values& means, std::uint64_t race, std::uint32_t unit) {
  Values values = means;
  for (std::size_t k = 0; k < values.size(); ++k) values[k] += test::normal_pair(random_bits(race, unit), k)[0];
  return values;
}

struct Tally {
  std::uint32_t wrong = 0, decided = 0;
  double spent = 0;  ///< units per group and race
};

/// Races over 40 queries of the mixture, 50 each; a unit is `per_unit` slots over the grid.
Tally race_mixture(RaceUntil until, std::uint32_t per_unit) {
  const GaussianMixture mixture;
  constexpr std::uint32_t kQueries = 40, kGroups = GaussianMixture::kGroups, kUnits = 64;
  const Values p = slot_probabilities(mixture.weights(), mixture.pilot_spread(8, 4), 0.1);
  std::vector<std::array<double, kGroups>> truth;
  for (std::uint32_t q = 0; q < kQueries; ++q) truth.push_back(mixture.scores(mixture.moments(mixture.query(q))));
  Tally tally;
  for (std::uint32_t r = 0; r < kRaces; ++r) {
    const std::uint32_t q = r % kQueries;
    const auto slots =
        sample_slots(mixture.weights(), p, {.strata = per_unit, .units_per_stratum = kUnits}, random_bits(201, r));
    Race race(kGroups, {.until = until, .most_units = kUnits});
    for (std::size_t next = 0; !race.finished();) {
      Values values(kGroups, 0.0);
      for (std::uint32_t s = 0; s < per_unit; ++s, ++next) {
        const auto at = mixture.measured(mixture.query(q), slots[next], random_bits(202, r));
        for (std::uint32_t k = 0; k < kGroups; ++k) values[k] += kUnits * slots[next].weight * at[k];
      }
      race.add(values);
    }
    for (const std::uint32_t units : race.spent()) tally.spent += static_cast<double>(units) / kGroups / kRaces;
    if (!race.decided()) continue;
    ++tally.decided;
    auto answer = race.order();
    std::vector<std::uint32_t> right(kGroups);
    std::iota(right.begin(), right.end(), 0U);
    std::sort(right.begin(), right.end(), [&](auto a, auto b) { return truth[q][a] > truth[q][b]; });
    const std::ptrdiff_t size = until == RaceUntil::top1 ? 1 : until == RaceUntil::top3 ? 3 : kGroups;
    if (until == RaceUntil::top3) {
      std::sort(answer.begin(), answer.begin() + size);
      std::sort(right.begin(), right.begin() + size);
    }
    tally.wrong += !std::equal(answer.begin(), answer.begin() + size, right.begin());
  }
  return tally;
}

}  // namespace

TEST_CASE("race: nothing is decided before eight units, and a clear leader at the eighth") {
  Race race(3, {});
  for (std::uint32_t unit = 0; unit < 7; ++unit) {
    race.add(unit_of({0, 100, 50}, 1, unit));
    CHECK_FALSE(race.decided());
    CHECK(race.live(0));
  }
  race.add(unit_of({0, 100, 50}, 1, 7));
  CHECK(race.decided());
  CHECK(race.order().front() == 1);
  CHECK_THROWS_AS(race.add(Values{1, 2, 3}), Bug);
}

TEST_CASE("race: a group whose place is decided gets no more units, and the budget says so") {
  Race race(3, {.most_units = 40});
  for (std::uint32_t unit = 0; !race.finished(); ++unit) race.add(unit_of({-100, 0.01, 0}, 2, unit));
  CHECK_FALSE(race.decided());  // the other two are too close
  CHECK(race.spent()[0] == 8);
  CHECK(race.spent()[1] == 40);
  CHECK_FALSE(race.live(0));
  CHECK(race.live(1));
  CHECK(race.units() == 40);
  CHECK(race.order().back() == 0);
}

TEST_CASE("race: values of groups that are out are not read") {
  Race race(3, {.most_units = 12});
  for (std::uint32_t unit = 0; !race.finished(); ++unit) {
    Values values = unit_of({-100, 0.01, 0}, 2, unit);
    if (!race.live(0)) values[0] = std::nan("");
    race.add(values);
  }
  CHECK(race.units() == 12);
  Race other(2, {});
  CHECK_THROWS_AS(other.add(Values{1, std::nan("")}), Error);
}

TEST_CASE("race: three questions, three answers") {
  const Values means{1, 50, 20, 90, -30, 70};
  for (const RaceUntil until : {RaceUntil::top1, RaceUntil::top3, RaceUntil::ranking}) {
    Race race(6, {.until = until});
    for (std::uint32_t unit = 0; !race.finished(); ++unit) race.add(unit_of(means, 3, unit));
    CHECK(race.decided());
    auto order = race.order();
    CHECK(order[0] == 3);
    if (until == RaceUntil::ranking) CHECK(order == std::vector<std::uint32_t>{3, 5, 1, 2, 0, 4});
    std::sort(order.begin(), order.begin() + 3);
    if (until == RaceUntil::top3)
      CHECK(std::vector(order.begin(), order.begin() + 3) == std::vector<std::uint32_t>{1, 3, 5});
  }
}

TEST_CASE("race: two groups are in the first three without a look, equal ones never differ") {
  Race both(2, {.until = RaceUntil::top3});
  Race equal(2, {.most_units = 20});
  for (std::uint32_t unit = 0; unit < 8; ++unit) both.add(unit_of({0, 0}, 4, unit));
  CHECK(both.decided());
  while (!equal.finished()) equal.add(Values{1.5, 1.5});
  CHECK_FALSE(equal.decided());
}

TEST_CASE("race: rules that make no sense are refused") {
  CHECK_THROWS_AS(Race(1, {}), Error);
  CHECK_THROWS_AS(Race(2, {.confidence = 0.4}), Error);
  CHECK_THROWS_AS(Race(2, {.confidence = 1}), Error);
  CHECK_THROWS_AS(Race(2, {.first_decision = 7}), Error);
  CHECK_THROWS_AS(Race(2, {.first_decision = 20, .most_units = 10}), Error);
}

TEST_CASE("race: the margin shrinks with units and grows with confidence, and exceeds a single look's") {
  for (std::uint32_t n = 8; n < 1000; ++n) {
    CHECK(race_margin(n + 1, 0.05, 0.5) < race_margin(n, 0.05, 0.5));
    CHECK(race_margin(n, 0.01, 0.5) > race_margin(n, 0.05, 0.5));
    CHECK(race_margin(n, 0.05, 0.5) > 1.645 / std::sqrt(n));
  }
}

TEST_CASE("known answer: two groups that hardly differ are mistaken in 5 % of the races at most, where peeking would") {
  std::uint32_t wrong = 0, peeked = 0;
  for (std::uint32_t r = 0; r < kRaces; ++r) {
    Race race(2, {.most_units = 200});
    double sum = 0, squares = 0;
    bool fooled = false;
    while (!race.finished()) {
      const Values values = unit_of({0.002, 0}, random_bits(203, r), race.units());
      race.add(values);
      const double lead = values[1] - values[0], n = race.units();
      sum += lead, squares += lead * lead;
      // what a fixed-size one-sided 95 % interval says after every unit from the eighth on
      if (n >= 8) fooled = fooled || sum / n > 1.645 * std::sqrt((squares - sum * sum / n) / (n - 1) / n);
    }
    wrong += race.decided() && race.order().front() == 1;
    peeked += fooled;
  }
  CHECK(wrong <= kNotAbove);
  CHECK(peeked > 2 * kNotAbove);
  MESSAGE("wrong: " << wrong << ", peeking: " << peeked << " of " << kRaces);
}

TEST_CASE("known answer: races for the first group of a mixture are wrong for less than 5 % of the queries") {
  for (const std::uint32_t per_unit : {2U, 4U}) {
    const Tally tally = race_mixture(RaceUntil::top1, per_unit);
    CHECK(tally.wrong <= kSurelyBelow);
    CHECK(tally.decided > kRaces / 2);
    CHECK(tally.spent < 32);  // half the units that a race without decisions takes
    MESSAGE("wrong " << tally.wrong << ", decided " << tally.decided << " of " << kRaces << ", units of " << per_unit
                     << " per group " << tally.spent);
  }
}

TEST_CASE("known answer: races for the first three and for every place are wrong for less than 5 % of the queries") {
  for (const RaceUntil until : {RaceUntil::top3, RaceUntil::ranking}) {
    const Tally tally = race_mixture(until, 4);
    CHECK(tally.wrong <= kSurelyBelow);
    if (until == RaceUntil::top3) CHECK(tally.decided > 0);
    MESSAGE("wrong " << tally.wrong << ", decided " << tally.decided << " of " << kRaces << ", units per group "
                     << tally.spent);
  }
}

TEST_CASE("race: the places say what is decided, and only that") {
  Race top(3, {.most_units = 40});
  for (std::uint32_t unit = 0; !top.finished(); ++unit) top.add(unit_of({-100, 0.01, 0}, 2, unit));
  CHECK(top.places() == std::vector<int>{-1, 0, 0});
  Race first(3, {});
  for (std::uint32_t unit = 0; !first.finished(); ++unit) first.add(unit_of({-100, 80, 0}, 2, unit));
  CHECK(first.places() == std::vector<int>{-1, 1, -1});
  Race ranking(4, {.until = RaceUntil::ranking, .most_units = 40});
  for (std::uint32_t unit = 0; !ranking.finished(); ++unit) ranking.add(unit_of({-100, 0.01, 0, 70}, 2, unit));
  CHECK(ranking.places() == std::vector<int>{4, 0, 0, 1});
}
