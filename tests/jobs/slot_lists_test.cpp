#include "jobs/slot_lists.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <set>

#include "common/error.hpp"
#include "jobs/noise_schedule.hpp"

using namespace guda;
using namespace guda::jobs;
using doctest::Approx;

namespace {

Experiment on_a_grid(std::uint32_t draws = 1) {
  Experiment e;
  e.scoring.draws = draws;
  return e;
}

Experiment with_drawn_slots(std::uint32_t slots, bool antithetic = false) {
  Experiment e;
  e.scoring.allocation = "weight";
  e.scoring.slots = slots;
  e.scoring.antithetic = antithetic;
  return e;
}

/// Sum over a draw set of weight * value(timestep).
template <class Value>
double estimate(const Experiment& e, const std::vector<Slot>& slots, std::uint32_t set, Value&& value) {
  double sum = 0;
  for (const Slot& slot : slots) {
    if (slot.draw / draws_of_set(e.scoring) == set) sum += slot.weight * value(slot.timestep);
  }
  return sum;
}

double grid_sum(const Experiment& e, double (*value)(std::uint32_t)) {
  const NoiseSchedule schedule(e.diffusion);
  double sum = 0;
  for (const std::uint32_t t : scored_timesteps(e.scoring)) sum += schedule.elbo_weight(t) * value(t);
  return sum;
}

}  // namespace

TEST_CASE("slot lists: antithetic pairs on the grid are neighbours that share draw and weight") {
  Experiment e = on_a_grid(2);
  const std::vector<Slot> plain = slot_axis(e, {});
  e.scoring.antithetic = true;
  const std::vector<Slot> pairs = slot_axis(e, {});
  REQUIRE(plain.size() == 2 * slots_of_set(on_a_grid(2).scoring));
  REQUIRE(pairs.size() == 2 * slots_of_set(e.scoring));
  REQUIRE(pairs.size() == 2 * plain.size());
  for (std::size_t i = 0; i < plain.size(); ++i) {
    Slot half = plain[i];
    half.weight /= 2;
    CHECK(pairs[2 * i] == half);
    half.negated = true;
    CHECK(pairs[2 * i + 1] == half);
  }
}

TEST_CASE("slot lists: drawn slots estimate the sum over the grid without bias, whatever decides where they lie") {
  const auto value = [](std::uint32_t t) { return 1 + std::sin(t / 100.0); };
  const double truth = grid_sum(on_a_grid(), [](std::uint32_t t) { return 1 + std::sin(t / 100.0); });
  constexpr int kSeeds = 4000;
  for (const bool antithetic : {false, true}) {
    for (const bool by_spread : {false, true}) {
      Experiment e = with_drawn_slots(10, antithetic);
      std::vector<double> spread;
      for (const std::uint32_t t : scored_timesteps(e.scoring)) {
        if (by_spread) spread.push_back(t < 100 ? 5 : 0);
      }
      double mean = 0, squares = 0;
      for (int seed = 0; seed < kSeeds; ++seed) {
        e.seeds = {static_cast<std::uint64_t>(seed)};
        const double one = estimate(e, slot_axis(e, spread), 0, value);
        mean += one / kSeeds;
        squares += (one - truth) * (one - truth) / kSeeds;
      }
      const double error = std::sqrt(squares / kSeeds);
      CHECK(error > 0);
      CHECK(std::abs(mean - truth) < 4 * error);
    }
  }
}

TEST_CASE("slot lists: the oracle and the methods have lists of their own, and no noise is drawn twice") {
  const Experiment e = with_drawn_slots(50);
  const std::vector<Slot> slots = slot_axis(e, {});
  REQUIRE(slots.size() == 100);
  std::set<std::pair<std::uint32_t, std::uint32_t>> noises;
  std::vector<std::uint32_t> oracle, methods;
  for (std::size_t i = 0; i < slots.size(); ++i) {
    CHECK(slots[i].draw / draws_of_set(e.scoring) == (i < 50 ? 0 : 1));
    CHECK(noises.emplace(slots[i].timestep, slots[i].draw).second);
    (i < 50 ? oracle : methods).push_back(slots[i].timestep);
  }
  CHECK(oracle != methods);
  for (const Slot& slot : pilot_slots(e.scoring)) CHECK(noises.emplace(slot.timestep, slot.draw).second);
  CHECK(slot_axis(e, {}) == slots);
  Experiment other = e;
  other.seeds = {1};
  CHECK(slot_axis(other, {}) != slots);
}

TEST_CASE("slot lists: slots go where weight and spread are, and a tenth of them goes everywhere") {
  Experiment e = with_drawn_slots(200);
  const std::vector<std::uint32_t> grid = scored_timesteps(e.scoring);
  std::vector<double> spread(grid.size(), 0.0);
  spread[7] = 1;
  std::size_t at_seven = 0;
  const NoiseSchedule schedule(e.diffusion);
  for (const Slot& slot : slot_axis(e, spread)) {
    at_seven += slot.timestep == grid[7] ? 1 : 0;
    const double uniform = schedule.elbo_weight(slot.timestep) * static_cast<double>(grid.size()) / e.scoring.slots;
    CHECK(slot.weight <= Approx(uniform / kUniformShare));
  }
  CHECK(at_seven > 2 * 200 * 0.88);
  // A weighting that leaves timesteps out decides, but other views still see them.
  e.comparison.weightings = {{.name = "late", .kind = "flat", .t_min = 500}};
  std::size_t early = 0;
  for (const Slot& slot : slot_axis(e, {})) early += slot.timestep < 500 ? 1 : 0;
  CHECK(early > 0);
  CHECK(early < 2 * 200 * 0.1);
  CHECK_THROWS_AS((void)slot_axis(e, std::vector<double>{1, 2}), Error);
}
