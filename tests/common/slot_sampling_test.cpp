#include "common/slot_sampling.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <numeric>

#include "common/error.hpp"
#include "tests/support/gaussian_mixture.hpp"

using namespace guda;
using doctest::Approx;
using test::GaussianMixture;
using Values = std::vector<double>;

namespace {

double sum_of(const Values& values) { return std::accumulate(values.begin(), values.end(), 0.0); }

/// Every query's truth is an integral that takes a while: computed once.
struct KnownAnswer {
  static constexpr std::uint32_t kQueries = 40;
  GaussianMixture mixture;
  std::vector<GaussianMixture::Moments> moments;
  Values spread = mixture.pilot_spread(8, 4);

  KnownAnswer() {
    for (std::uint32_t q = 0; q < kQueries; ++q) moments.push_back(mixture.moments(mixture.query(q)));
  }
};

const KnownAnswer& known() {
  static const KnownAnswer answer;
  return answer;
}

/// Bands below follow from the number of repetitions: a share p of R has a binomial standard error of
/// sqrt(p (1 - p) / R), 0.0049 for 95 % of 2,000. So [93 %, 97 %] is 4.1 of them to either side: a correct interval
/// would leave it for 4 seeds in 100,000, and one that covers 91 % or less for all but 2 in 1,000. Means are held to 4
/// standard errors of their own.
constexpr std::uint32_t kRepetitions = 2000;
constexpr double kErrors = 4;

struct Outcome {
  double coverage = 0, pair_coverage = 0;   ///< of a score, and of the difference of two scores
  double bias = 0;                          ///< mean error in predicted standard deviations
  double variance = 0, variance_error = 0;  ///< mean squared error / predicted variance, and its standard error
  double predicted = 0;                     ///< mean predicted variance
};

/// Repetition r explains query r mod 40 with noise and slots of its own. The target: the query's most influential
/// group, and its lead over group 0 (or 1).
Outcome repeat(const Values& probabilities, const SlotDesign& design) {
  const GaussianMixture& mixture = known().mixture;
  Outcome outcome;
  double squares = 0, fourths = 0;
  for (std::uint32_t r = 0; r < kRepetitions; ++r) {
    const std::uint32_t q = r % KnownAnswer::kQueries;
    const auto& moments = known().moments[q];
    const auto scores = mixture.scores(moments);
    const auto top = static_cast<std::size_t>(std::max_element(scores.begin(), scores.end()) - scores.begin());
    const std::size_t other = top == 0 ? 1 : 0;
    const auto slots = sample_slots(mixture.weights(), probabilities, design, random_bits(101, r));
    Values of_top, of_pair;
    for (const SampledSlot& slot : slots) {
      const auto at = mixture.measured(mixture.query(q), slot, random_bits(102, r));
      of_top.push_back(at[top]);
      of_pair.push_back(at[top] - at[other]);
    }
    const SlotEstimate score = estimate_sum(slots, of_top), lead = estimate_sum(slots, of_pair);
    const double error = score.value - scores[top];
    outcome.coverage += std::abs(error) <= half_width(score, 0.95);
    outcome.pair_coverage += std::abs(lead.value - scores[top] + scores[other]) <= half_width(lead, 0.95);
    const double predicted =
        sampling_variance(mixture.weights(), probabilities, moments.mean[top], moments.spread[top], design);
    outcome.predicted += predicted / kRepetitions;
    outcome.bias += error / std::sqrt(predicted) / kRepetitions;
    squares += error * error / predicted / kRepetitions;
    fourths += std::pow(error * error / predicted, 2) / kRepetitions;
  }
  outcome.coverage /= kRepetitions;
  outcome.pair_coverage /= kRepetitions;
  outcome.variance = squares;
  outcome.variance_error = std::sqrt((fourths - squares * squares) / kRepetitions);
  return outcome;
}

void check_coverage(const Outcome& outcome) {
  CHECK(outcome.coverage >= 0.93);
  CHECK(outcome.coverage <= 0.97);
  CHECK(outcome.pair_coverage >= 0.93);
  CHECK(outcome.pair_coverage <= 0.97);
}

}  // namespace

TEST_CASE("slot sampling: a pilot's spread is the pooled standard deviation over draws") {
  // rows x points x draws: variances 2 and 0 at the first point, 8 and 0 at the second
  const Values differences{1, 3, 0, 4, 5, 5, 7, 7};
  const Values spread = pooled_spread(differences, 2, 2);
  CHECK(spread[0] == Approx(1));
  CHECK(spread[1] == Approx(2));
  CHECK_THROWS_AS((void)pooled_spread(differences, 2, 1), Error);
  CHECK_THROWS_AS((void)pooled_spread(differences, 3, 2), Error);
  CHECK_THROWS_AS((void)pooled_spread({}, 2, 2), Error);
  CHECK_THROWS_AS((void)pooled_spread(Values{1, std::nan("")}, 1, 2), Error);
}

TEST_CASE("slot sampling: probabilities follow weight times spread, above a uniform floor") {
  const Values p = slot_probabilities(Values{2, 1, 0, 1}, Values{3, 2, 9, 0}, 0.3);
  CHECK(p[0] == Approx(0.1 + 0.7 * 6 / 8));
  CHECK(p[1] == Approx(0.1 + 0.7 * 2 / 8));
  CHECK(p[2] == 0);  // no weight: never drawn
  CHECK(p[3] == Approx(0.1));
  CHECK(sum_of(p) == Approx(1));
  CHECK(slot_probabilities(Values{1, 3}, Values{0, 0}, 0.1) == Values{0.5, 0.5});
  CHECK_THROWS_AS((void)slot_probabilities(Values{1, 1}, Values{1, 1}, 0), Error);
  CHECK_THROWS_AS((void)slot_probabilities(Values{0, 0}, Values{1, 1}, 0.1), Error);
  CHECK_THROWS_AS((void)slot_probabilities(Values{1, 1}, Values{1}, 0.1), Error);
  CHECK_THROWS_AS((void)slot_probabilities(Values{1, 1}, Values{1, -1}, 0.1), Error);
}

TEST_CASE("slot sampling: equal probabilities and one stratum a point give the whole grid, once a unit") {
  const Values weights{5, 4, 3, 2};
  const auto slots = sample_slots(weights, Values(4, 0.25), {.strata = 4, .units_per_stratum = 3}, 7);
  REQUIRE(slots.size() == 12);
  for (std::uint32_t i = 0; i < 12; ++i) {
    CHECK(slots[i].point == i % 4);
    CHECK(slots[i].draw == i / 4);
    CHECK(slots[i].unit == i / 4);
    CHECK(slots[i].stratum == i % 4);
    CHECK(slots[i].weight == Approx(weights[i % 4] / 3));
  }
}

TEST_CASE("slot sampling: a point's number of slots differs from its expectation by less than two") {
  const Values p{0.37, 0.05, 0.21, 0.02, 0.35};
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    const auto slots = sample_slots(Values(5, 1.0), p, {.strata = 20, .units_per_stratum = 1}, seed);
    Values count(5, 0.0);
    for (const auto& slot : slots) {
      CHECK(slot.draw == count[slot.point]);  // draws are numbered without gaps
      ++count[slot.point];
    }
    for (std::size_t i = 0; i < 5; ++i) CHECK(std::abs(count[i] - 20 * p[i]) < 2);
  }
}

TEST_CASE("slot sampling: an antithetic pair is one draw with both signs, and half the weight each") {
  const Values weights{3, 1}, p{0.5, 0.5};
  const auto plain = sample_slots(weights, p, {.strata = 3, .units_per_stratum = 2}, 5);
  const auto pairs = sample_slots(weights, p, {.strata = 3, .units_per_stratum = 2, .antithetic = true}, 5);
  REQUIRE(pairs.size() == 2 * plain.size());
  for (std::size_t i = 0; i < plain.size(); ++i) {
    for (const auto& member : {pairs[2 * i], pairs[2 * i + 1]}) {
      CHECK(member.point == plain[i].point);
      CHECK(member.draw == plain[i].draw);
      CHECK(member.unit == plain[i].unit);
      CHECK(member.weight == plain[i].weight / 2);
    }
    CHECK_FALSE(pairs[2 * i].negated);
    CHECK(pairs[2 * i + 1].negated);
  }
}

TEST_CASE("slot sampling: the first units of a design are a smaller design") {
  const Values weights{3, 1, 2}, p{0.5, 0.2, 0.3};
  const auto all = sample_slots(weights, p, {.strata = 4, .units_per_stratum = 5}, 11);
  const auto few = sample_slots(weights, p, {.strata = 4, .units_per_stratum = 2}, 11);
  for (std::size_t i = 0; i < few.size(); ++i) {
    CHECK(all[i].point == few[i].point);
    CHECK(all[i].draw == few[i].draw);
    CHECK(all[i].weight * 5 / 2 == Approx(few[i].weight));
  }
}

TEST_CASE("slot sampling: a sum in proportion to the probabilities is met exactly, with no variance") {
  const Values weights{2, 4, 1}, p{0.5, 0.2, 0.3}, d{0.25, 0.05, 0.3};
  const auto slots = sample_slots(weights, p, {.strata = 5, .units_per_stratum = 2}, 3);
  Values measured;
  for (const auto& slot : slots) measured.push_back(d[slot.point]);
  const SlotEstimate estimate = estimate_sum(slots, measured);
  CHECK(estimate.value == Approx(1));
  CHECK(estimate.variance == Approx(0));
  CHECK(sampling_variance(weights, p, d, Values(3, 0.0), {.strata = 5}) == Approx(0));
}

TEST_CASE("slot sampling: the variance is that of stratified units, and has their degrees of freedom") {
  std::vector<SampledSlot> slots;
  for (std::uint32_t unit = 0; unit < 2; ++unit) {
    for (std::uint32_t stratum = 0; stratum < 8; ++stratum) {
      slots.push_back({.stratum = stratum, .unit = unit, .weight = 1});
    }
  }
  Values measured(16, 0.0);
  for (std::size_t h = 0; h < 8; ++h) measured[h] = 2;
  SlotEstimate estimate = estimate_sum(slots, measured);
  CHECK(estimate.value == Approx(16));
  CHECK(estimate.variance == Approx(8 * 4));
  CHECK(estimate.degrees == Approx(8));  // (8 v)^2 / (8 v^2 / 3) - 2 is above the number there is
  measured.assign(16, 0.0);
  measured[0] = 2;
  estimate = estimate_sum(slots, measured);
  CHECK(estimate.variance == Approx(4));
  CHECK(estimate.degrees == Approx(1));
  // one unit a stratum has no error, and says so
  estimate = estimate_sum(std::span(slots).first(8), std::span<const double>(measured).first(8));
  CHECK(std::isnan(estimate.variance));
  CHECK(std::isnan(half_width(estimate, 0.95)));
  CHECK_THROWS_AS((void)estimate_sum(slots, Values{1}), Error);
}

TEST_CASE("slot sampling: intervals are Student's") {
  CHECK(half_width({.value = 0, .variance = 1, .degrees = 10}, 0.95) == Approx(2.228139).epsilon(1e-6));
  CHECK(half_width({.value = 0, .variance = 4, .degrees = 3}, 0.95) == Approx(2 * 3.182446).epsilon(1e-6));
  CHECK_THROWS_AS((void)half_width({.value = 0, .variance = 1, .degrees = 10}, 1), Error);
}

TEST_CASE("slot sampling: probabilities that are none are refused") {
  CHECK_THROWS_AS((void)sample_slots(Values{1, 1}, Values{0.5, 0.4}, {}, 1), Error);
  CHECK_THROWS_AS((void)sample_slots(Values{1, 1}, Values{1.5, -0.5}, {}, 1), Error);
  CHECK_THROWS_AS((void)sample_slots(Values{1, 1}, Values{1, 0}, {}, 1), Error);  // a point that would be left out
  CHECK_THROWS_AS((void)sample_slots(Values{1, 1}, Values{0.5, 0.5}, {.strata = 0}, 1), Error);
  CHECK_NOTHROW((void)sample_slots(Values{1, 0}, Values{1, 0}, {}, 1));
}

TEST_CASE("known answer: the truth does not depend on the step of its quadrature") {
  const GaussianMixture& mixture = known().mixture;
  for (std::uint32_t q = 0; q < 2; ++q) {
    const auto coarse = mixture.scores(known().moments[q]),
               fine = mixture.scores(mixture.moments(mixture.query(q), 0.2));
    for (std::size_t k = 0; k < coarse.size(); ++k) CHECK(coarse[k] == Approx(fine[k]).scale(1e-3).epsilon(1e-5));
  }
}

TEST_CASE("known answer: adaptive slots are unbiased, their variance is the predicted one, and 95 % intervals cover") {
  const Values p = slot_probabilities(known().mixture.weights(), known().spread, 0.1);
  for (const std::uint32_t strata : {16U, 50U}) {
    CAPTURE(strata);
    const Outcome outcome = repeat(p, {.strata = strata, .units_per_stratum = 2});
    CHECK(std::abs(outcome.bias) <= kErrors / std::sqrt(kRepetitions));
    CHECK(std::abs(outcome.variance - 1) <= kErrors * outcome.variance_error);
    check_coverage(outcome);
  }
}

TEST_CASE("known answer: antithetic pairs are unbiased, covered, and beat as many independent forwards") {
  const Values p = slot_probabilities(known().mixture.weights(), known().spread, 0.1);
  const SlotDesign half{.strata = 50, .units_per_stratum = 2, .antithetic = true};
  double error = 0, plain_error = 0;
  std::uint32_t covered = 0;
  for (std::uint32_t r = 0; r < kRepetitions; ++r) {
    const std::uint32_t q = r % KnownAnswer::kQueries;
    const auto scores = known().mixture.scores(known().moments[q]);
    const auto top = static_cast<std::size_t>(std::max_element(scores.begin(), scores.end()) - scores.begin());
    for (const SlotDesign& design : {half, SlotDesign{.strata = 100, .units_per_stratum = 2}}) {
      const auto slots = sample_slots(known().mixture.weights(), p, design, random_bits(103, r));
      Values measured;
      for (const SampledSlot& slot : slots) {
        measured.push_back(known().mixture.measured(known().mixture.query(q), slot, random_bits(104, r))[top]);
      }
      const SlotEstimate estimate = estimate_sum(slots, measured);
      (design.antithetic ? error : plain_error) += std::pow(estimate.value - scores[top], 2);
      if (design.antithetic) covered += std::abs(estimate.value - scores[top]) <= half_width(estimate, 0.95);
    }
  }
  CHECK(covered >= 0.93 * kRepetitions);
  CHECK(covered <= 0.97 * kRepetitions);
  CHECK(error < plain_error);
  MESSAGE("variance of independent draws over that of pairs at equal forwards: " << plain_error / error);
}

TEST_CASE("known answer: adaptive slots need fewer forwards than equal probabilities for the same variance") {
  const Values p = slot_probabilities(known().mixture.weights(), known().spread, 0.1);
  const Values flat(known().mixture.points(), 1.0 / static_cast<double>(known().mixture.points()));
  const SlotDesign design{.strata = 25, .units_per_stratum = 2};
  double adaptive = 0, uniform = 0;
  for (const auto& moments : known().moments) {
    for (std::uint32_t k = 0; k < GaussianMixture::kGroups; ++k) {
      adaptive += sampling_variance(known().mixture.weights(), p, moments.mean[k], moments.spread[k], design);
      uniform += sampling_variance(known().mixture.weights(), flat, moments.mean[k], moments.spread[k], design);
    }
  }
  CHECK(adaptive < uniform);
  MESSAGE("variance of equal probabilities over that of adaptive ones: " << uniform / adaptive);
}

// A group without influence has a score near 0 and noise that is rarely large: its intervals are too short where units
// are few (32 slots: 87 to 94 % by group), so that all groups together need more of them than the leading one.
TEST_CASE("known answer: with 400 slots the intervals of all groups together cover") {
  const Values p = slot_probabilities(known().mixture.weights(), known().spread, 0.1);
  std::uint32_t covered = 0;
  for (std::uint32_t r = 0; r < kRepetitions; ++r) {
    const std::uint32_t q = r % KnownAnswer::kQueries, k = r / KnownAnswer::kQueries % GaussianMixture::kGroups;
    const auto slots =
        sample_slots(known().mixture.weights(), p, {.strata = 200, .units_per_stratum = 2}, random_bits(105, r));
    Values measured;
    for (const SampledSlot& slot : slots) {
      measured.push_back(known().mixture.measured(known().mixture.query(q), slot, random_bits(106, r))[k]);
    }
    const SlotEstimate estimate = estimate_sum(slots, measured);
    covered += std::abs(estimate.value - known().mixture.scores(known().moments[q])[k]) <= half_width(estimate, 0.95);
  }
  CHECK(covered >= 0.93 * kRepetitions);
  CHECK(covered <= 0.97 * kRepetitions);
}
