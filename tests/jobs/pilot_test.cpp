#include "jobs/pilot.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <set>

#include "common/error.hpp"
#include "jobs/slot_lists.hpp"
#include "tests/support/fake_plan.hpp"

namespace guda::jobs {
namespace {

Experiment adaptive_experiment(std::uint32_t queries = 30) {
  Experiment e = test::small_experiment(queries);
  e.scoring.allocation = "adaptive";
  e.scoring.slots = 8;
  return e;
}

Plan planned(const Experiment& e, const std::vector<double>& spread = {}) {
  return make_plan(e, load_dataset(e.dataset), Numerics{"cpu", "avx2", "float32", 1}, false, spread);
}

std::set<Digest> digests(const Plan& plan) {
  std::set<Digest> all;
  for (const JobSpec& job : plan.jobs) all.insert(job.digest);
  return all;
}

/// Scores that fill rows of results.h5.
std::size_t scores(const Plan& plan) {
  return static_cast<std::size_t>(std::count_if(plan.jobs.begin(), plan.jobs.end(), [](const JobSpec& job) {
    return std::holds_alternative<ScoreSpec>(job.work) && !job.placements.empty();
  }));
}

}  // namespace

TEST_CASE("pilot: the first stage makes every model and scores the pilot, the second adds the scores it announced") {
  const Experiment e = adaptive_experiment();
  const Plan first = planned(e), second = planned(e, {1, 2, 3});
  CHECK(awaits_pilot(first));
  CHECK(first.slots.empty());
  CHECK(scores(first) == 0);
  CHECK(pilot_jobs(first).size() == 10);  // one per LOGO model
  CHECK_FALSE(awaits_pilot(second));
  CHECK(second.slots.size() == 16);
  const auto before = digests(first), after = digests(second);
  CHECK(std::includes(after.begin(), after.end(), before.begin(), before.end()));
  CHECK(after.size() - before.size() == first.next.jobs);
  CHECK(scores(second) == first.next.jobs);
  double cost = 0;
  for (const JobSpec& job : second.jobs) cost += before.contains(job.digest) ? 0 : job.cost;
  CHECK(cost == doctest::Approx(first.next.cost));
  CHECK(planned(e, {1, 2, 3}).digest == second.digest);
  CHECK(planned(e, {3, 2, 1}).digest != second.digest);
  CHECK(to_json(plan_from_json(to_json(second))) == to_json(second));
  CHECK(to_json(plan_from_json(to_json(first))) == to_json(first));
  CHECK(awaits_pilot(plan_from_json(to_json(first))));
}

TEST_CASE("pilot: it looks at a few queries of the first run seed on every timestep, with draws of no score") {
  Experiment e = adaptive_experiment();
  e.seeds = {0, 1};
  e.queries.push_back({.name = "generated", .count = 20});
  e.scoring.pilot.share = 0.2;
  const Plan plan = planned(e);
  std::set<std::string> labels;
  std::size_t chosen = 0;
  for (const std::size_t i : pilot_jobs(plan)) {
    const auto& spec = std::get<ScoreSpec>(plan.jobs[i].work);
    labels.insert(plan.jobs[i].label);
    CHECK(plan.jobs[i].label.ends_with("(seed 0)"));
    CHECK(spec.count == spec.chosen.size());
    CHECK(std::is_sorted(spec.chosen.begin(), spec.chosen.end()));
    CHECK(spec.slots.size() == 3 * 2);
    for (const Slot& slot : spec.slots) CHECK(slot.draw >= 2 * e.scoring.slots);
    if (plan.jobs[i].label.starts_with("pilot logo -3")) chosen += spec.count;
  }
  CHECK(labels.size() == 2 * 10);
  CHECK(chosen == 10);  // of 50
  const auto few = pilot_queries(adaptive_experiment(), 30);
  CHECK(few.size() == 4);
  CHECK(pilot_queries(adaptive_experiment(), 3).size() == 3);
}

TEST_CASE("pilot: adding methods or run seeds leaves the pilot's jobs as they were") {
  Experiment e = adaptive_experiment();
  const Plan plan = planned(e);
  MethodConfig more;
  more.name = more.method = "knn";
  e.methods.push_back(more);
  e.seeds.push_back(1);
  const auto all = digests(planned(e));
  for (const std::size_t i : pilot_jobs(plan)) CHECK(all.contains(plan.jobs[i].digest));
}

TEST_CASE("pilot: the spread is that of differences between models, of pair means where pairs are scored") {
  for (const bool antithetic : {false, true}) {
    Experiment e = adaptive_experiment(200);
    e.scoring.pilot = {.share = 0.5, .draws = 2};
    e.scoring.antithetic = antithetic;
    const Plan plan = planned(e);
    const std::vector<double> sigma{0.5, 4, 1};
    std::mt19937 engine(5);
    std::normal_distribution<double> normal;
    const std::size_t members = antithetic ? 2 : 1;
    std::vector<double> common;  // what all models share at a (query, slot)
    for (std::size_t i = 0; i < 100 * 6 * members; ++i) common.push_back(100 + 10 * normal(engine));
    std::vector<std::vector<float>> losses;
    for (std::size_t m = 0; m < pilot_jobs(plan).size(); ++m) {
      std::vector<float>& rows = losses.emplace_back();
      double odd = 0;
      for (std::size_t i = 0; i < common.size(); ++i) {
        const std::size_t point = i / members % 3;
        // Pairs: an odd part that the mean of both cancels, and an even one that stays.
        odd = i % members == 0 ? 20 * normal(engine) : -odd;
        const double even = i % members == 0 ? sigma[point] * normal(engine) : 0;
        rows.push_back(static_cast<float>(common[i] + (antithetic ? odd + 2 * even : even) + double(m)));
      }
    }
    const std::vector<double> spread = pilot_spread(plan, losses);
    REQUIRE(spread.size() == 3);
    // Deviations from the mean of ten models lose a tenth of the variance.
    for (std::size_t i = 0; i < 3; ++i) CHECK(spread[i] == doctest::Approx(sigma[i] * std::sqrt(0.9)).epsilon(0.05));
    losses.back().pop_back();
    CHECK_THROWS_AS((void)pilot_spread(plan, losses), Error);
    losses.pop_back();
    CHECK_THROWS_AS((void)pilot_spread(plan, losses), Error);
  }
}

}  // namespace guda::jobs
