#include "jobs/race.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>

#include "common/error.hpp"
#include "jobs/slot_lists.hpp"
#include "tests/support/fake_plan.hpp"

namespace guda::jobs {
namespace {

Experiment racing_experiment(std::uint32_t queries = 5, const std::string& until = "top1") {
  Experiment e = test::small_experiment(queries);
  e.scoring.allocation = "weight";
  e.scoring.slots = 40;  // 20 units: rounds end at 8, 12 and 20
  e.scoring.until = until;
  return e;
}

Plan planned(const Experiment& e, const std::vector<RaceLane>& race = {}, const std::vector<double>& spread = {}) {
  return make_plan(e, load_dataset(e.dataset), Numerics{"cpu", "avx2", "float32", 1}, false, spread, race);
}

std::set<Digest> digests(const Plan& plan) {
  std::set<Digest> all;
  for (const JobSpec& job : plan.jobs) all.insert(job.digest);
  return all;
}

/// Rows [query, slot] that Score jobs fill, by "rows group"; checks that none is filled twice.
std::map<std::string, std::set<std::pair<std::uint32_t, std::uint32_t>>> cells(const Plan& plan) {
  std::map<std::string, std::set<std::pair<std::uint32_t, std::uint32_t>>> all;
  for (const JobSpec& job : plan.jobs) {
    const auto* score = std::get_if<ScoreSpec>(&job.work);
    if (score == nullptr) continue;
    for (const Placement& at : job.placements) {
      for (std::uint32_t r = 0; r < score->count; ++r) {
        for (std::uint32_t s = 0; s < score->slots.size(); ++s) {
          const bool is_new =
              all[at.method + " " + std::to_string(at.group)].emplace(query_of_row(*score, at, r), at.slot + s).second;
          CHECK(is_new);
        }
      }
    }
  }
  return all;
}

/// Group 3 is always ahead by far; of the others, `close` are noisy around it.
RaceLosses losses_of(std::size_t query, const std::set<std::size_t>& close, double gap = 0.001) {
  return [=](std::size_t k, std::size_t s) {
    const double noise = std::sin(double(37 * k + 11 * s + 101 * query));
    if (k == 3) return 10.0 + 0.1 * noise;
    return close.contains(k) ? 10.0 - gap + 0.1 * noise : 1.0 + 0.1 * noise;
  };
}

}  // namespace

TEST_CASE("race plan: rounds end after eight units and then half as many again, the last with all") {
  ScoringConfig s;
  s.until = "top1";
  s.unit = 2;
  const auto ends = [&](std::uint32_t slots) {
    s.slots = slots;
    return round_ends(s);
  };
  CHECK(ends(16) == std::vector<std::uint32_t>{8});
  CHECK(ends(40) == std::vector<std::uint32_t>{8, 12, 20});
  CHECK(ends(128) == std::vector<std::uint32_t>{8, 12, 18, 27, 40, 64});
  CHECK(ends(2'000'000).size() < 36);  // a digit each in plan.json
  s.antithetic = true;
  CHECK(slots_of_unit(s) == 4);
}

TEST_CASE(
    "race plan: the first stage scores eight units of everything and counts the rest as if nothing were decided") {
  const Experiment e = racing_experiment();
  const Plan first = planned(e);
  CHECK(awaits_next_stage(first));
  CHECK_FALSE(awaits_pilot(first));
  REQUIRE(first.slots.size() == 80);
  REQUIRE(first.race.size() == 3);  // logo on both draw sets, exact on that of the methods
  const auto filled = cells(first);
  CHECK(filled.at("logo 0").size() == 5 * 2 * 16);
  CHECK(filled.at("exact 9").size() == 5 * 16);
  CHECK(filled.at("full 0").size() == 5 * 2 * 16);
  // The rest: two rounds of two blocks for 10 groups in three lanes, and of the full model on both draw sets.
  CHECK(first.next.jobs == 2 * 2 * (3 * 10 + 2));
  std::vector<RaceLane> all;
  for (const RaceLane& lane : first.race) all.push_back(to_the_end(first, lane));
  const Plan whole = planned(e, all);
  CHECK_FALSE(awaits_next_stage(whole));
  CHECK(whole.jobs.size() == first.jobs.size() + first.next.jobs);
  double cost = 0;
  const auto before = digests(first), after = digests(whole);
  for (const JobSpec& job : whole.jobs) cost += before.contains(job.digest) ? 0 : job.cost;
  CHECK(cost == doctest::Approx(first.next.cost));
  CHECK(std::includes(after.begin(), after.end(), before.begin(), before.end()));
  CHECK(cells(whole).at("logo 0").size() == 5 * 80);
}

TEST_CASE("race plan: a round has the queries that still race a group, and the full model those of any lane") {
  const Experiment e = racing_experiment();
  const Plan first = planned(e);
  std::vector<RaceLane> lanes = first.race;
  // Query 4 goes on with groups 3 and 7 on the oracle's draws, query 1 in the method's lane.
  for (RaceLane& lane : lanes) {
    lane = with_next_round(first, lane, [&](std::size_t q) {
      const bool on = (lane.draw_set == 0 && q == 4) || (lane.rows == "exact" && q == 1);
      return losses_of(q, on ? std::set<std::size_t>{7} : std::set<std::size_t>{});
    });
  }
  const Plan second = planned(e, lanes);
  const auto before = digests(first), after = digests(second);
  CHECK(std::includes(after.begin(), after.end(), before.begin(), before.end()));
  std::set<std::string> labels;
  for (const JobSpec& job : second.jobs) {
    if (before.contains(job.digest)) continue;
    const auto& score = std::get<ScoreSpec>(job.work);
    CHECK(score.count == 1);
    CHECK(score.slots.size() == 8);
    CHECK(job.placements.front().query == (job.label.find("draws 0") != std::string::npos ? 4 : 1));
    labels.insert(job.label);
  }
  CHECK(labels == std::set<std::string>{"score logo -3 on real (seed 0, draws 0, units 9 to 12)",
                                        "score logo -7 on real (seed 0, draws 0, units 9 to 12)",
                                        "score exact -3 on real (seed 0, draws 1, units 9 to 12)",
                                        "score exact -7 on real (seed 0, draws 1, units 9 to 12)",
                                        "score full on real (seed 0, draws 0, units 9 to 12)",
                                        "score full on real (seed 0, draws 1, units 9 to 12)"});
  CHECK(awaits_next_stage(second));
  CHECK(second.next.jobs == 6);  // the last round of the same
  CHECK(plan_from_json(to_json(second)).race == second.race);
  CHECK(to_json(plan_from_json(to_json(second))) == to_json(second));
  CHECK(planned(e, lanes).digest == second.digest);
  // Nothing is decided in the last round either: it is the last all the same.
  for (RaceLane& lane : lanes) {
    lane = with_next_round(second, lane, [](std::size_t q) { return losses_of(q, {7}); });
  }
  const Plan last = planned(e, lanes);
  CHECK_FALSE(awaits_next_stage(last));
  CHECK(last.jobs.size() == second.jobs.size() + 6);
}

TEST_CASE("race plan: the race is replayed as far as every live group was scored, in the first weighting") {
  Experiment e = racing_experiment(2);
  const Plan plan = planned(e);
  const Race whole = replay_race(plan, 0, 20, losses_of(0, {}));
  CHECK(whole.decided());
  CHECK(whole.order().front() == 3);
  CHECK(whole.units() == 8);
  const auto cut = [&](std::size_t k, std::size_t s) {
    return k == 5 && s >= 4 ? std::numeric_limits<double>::quiet_NaN() : losses_of(0, {})(k, s);
  };
  CHECK(replay_race(plan, 0, 20, cut).units() == 2);
  // The draw set's own slots are read, and weights of 0 hide what a weighting leaves out.
  const std::size_t first = slots_of_set(e.scoring);
  const auto on_methods_draws = [&](std::size_t k, std::size_t s) {
    return s < first ? double(k) : losses_of(0, {})(k, s);
  };
  CHECK(replay_race(plan, 1, 20, on_methods_draws).order().front() == 3);
  e.comparison.weightings = {{.name = "late", .kind = "flat", .t_min = 500}};
  const Plan late = planned(e);
  const auto misleading = [&](std::size_t k, std::size_t s) {
    return late.slots[s].timestep < 500 ? 100.0 * double(k) : losses_of(0, {})(k, s);
  };
  CHECK(replay_race(late, 0, 20, misleading).order().front() == 3);
}

TEST_CASE("race plan: methods that are added start anew and leave the jobs of the others as they were") {
  const Experiment e = racing_experiment();
  const Plan first = planned(e);
  std::vector<RaceLane> lanes = first.race;
  for (RaceLane& lane : lanes)
    lane = with_next_round(first, lane, [](std::size_t q) {
      return losses_of(q, q % 2 == 0 ? std::set<std::size_t>{1} : std::set<std::size_t>{});
    });
  const Plan second = planned(e, lanes);
  Experiment more = e;
  MethodConfig other = more.methods[1];
  other.name = "two_steps";
  other.unlearn.steps = 2;
  more.methods.insert(more.methods.begin(), other);
  const Plan fresh = planned(more);
  const std::vector<RaceLane> carried = lanes_so_far(fresh, second);
  REQUIRE(carried.size() == 4);
  CHECK(carried.back().rows == "two_steps");
  CHECK(carried.back() == first_round(fresh, "two_steps", kMethodDraws));
  const Plan extended = planned(more, carried);
  const auto before = digests(second), after = digests(extended);
  CHECK(std::includes(after.begin(), after.end(), before.begin(), before.end()));
  // Two stages later too, when the new lane has reached what the full model was not asked for.
  std::vector<RaceLane> later = carried;
  for (int stage = 0; stage < 2; ++stage) {
    for (RaceLane& lane : later)
      lane = with_next_round(extended, lane, [](std::size_t q) { return losses_of(q, {1}); });
  }
  const auto at_last = digests(planned(more, later));
  CHECK(std::includes(at_last.begin(), at_last.end(), after.begin(), after.end()));

  Experiment otherwise = e;
  otherwise.scoring.confidence = 0.9;
  CHECK(lanes_so_far(planned(otherwise), second) == first.race);
}

TEST_CASE("race plan: it waits for a pilot, and counts every round before it") {
  Experiment e = racing_experiment();
  e.scoring.allocation = "adaptive";
  const Plan pilot = planned(e);
  CHECK(awaits_pilot(pilot));
  CHECK(pilot.race.empty());
  CHECK(pilot.next.jobs == 3 * 2 * (3 * 10 + 2));
  const Plan first = planned(e, {}, {1, 2, 3});
  CHECK(awaits_next_stage(first));
  CHECK(first.next.jobs == 2 * 2 * (3 * 10 + 2));
}

TEST_CASE("race plan: another LOGO's own full model follows its lanes only") {
  Experiment e = racing_experiment();
  MethodConfig b = e.methods[0];
  b.name = "logo_b";
  b.seed = 1;
  e.methods.push_back(b);
  e.comparison.second_reference = "logo_b";
  const Plan first = planned(e);
  std::vector<RaceLane> lanes = first.race;
  for (RaceLane& lane : lanes) {
    if (lane.rows != "logo_b") lane = ended_here(lane);
  }
  const auto grown = cells([&] {
    for (RaceLane& lane : lanes) lane = to_the_end(first, lane);
    return planned(e, lanes);
  }());
  CHECK(grown.at("full__logo_b 0").size() == 5 * 80);
  CHECK(grown.at("full 0").size() == 5 * 2 * 16);
}

TEST_CASE("race plan: plan.json that was tampered with is refused") {
  const Json good = to_json(planned(racing_experiment()));
  for (const auto& text : {"", "11111", "1111111111..", "0111111111", "11111 1111"}) {
    Json bad = good;
    bad["race"][0]["queries"][1] = text;
    CHECK_THROWS_AS((void)plan_from_json(bad), Error);
  }
  Json short_list = good;
  short_list["race"][0]["queries"].erase(0);
  CHECK_THROWS_AS((void)plan_from_json(short_list), Error);
}

}  // namespace guda::jobs
