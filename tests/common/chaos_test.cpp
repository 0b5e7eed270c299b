#include "common/chaos.hpp"

#include <doctest/doctest.h>

namespace guda {

TEST_CASE("chaos: shares and named jobs are read, nothing is invented") {
  const ChaosSpec c =
      parse_chaos("seed=7,kill=0.02,stop=0.01,torn=0.5,crash=unlearn retrack_exact -3@cpu1,nan=train full");
  CHECK(c.seed == 7);
  CHECK(c.kill == 0.02);
  CHECK(c.stop == 0.01);
  CHECK(c.torn == 0.5);
  CHECK(c.slow == 0);
  CHECK(c.agent == 0);
  REQUIRE(c.targets.size() == 2);
  CHECK(c.targets[0].label == "unlearn retrack_exact -3");
  CHECK(c.targets[0].device == "cpu1");
  CHECK(c.targets[1].error == ErrorClass::divergence);
  CHECK_FALSE(injection_for(parse_chaos(""), "anything", 1, "n/cpu1"));
}

TEST_CASE("chaos: a wrong word, share or seed is refused with the words that exist") {
  for (const char* text : {"kil=0.1", "kill", "kill=2", "kill=-1", "kill=", "kill=x", "seed=x",
                           "seed=", "crash=", "crash=@cpu1", "kill=0.1,,"}) {
    CHECK_THROWS_WITH_AS(static_cast<void>(parse_chaos(text)), doctest::Contains("--chaos"), Error);
  }
}

TEST_CASE("chaos: what happens to an attempt depends on seed, label and attempt alone, as often as its share says") {
  const ChaosSpec c = parse_chaos("seed=7,kill=0.2,stop=0.1");
  int kills = 0, stops = 0, same_as_other_seed = 0;
  const ChaosSpec other = parse_chaos("seed=8,kill=0.2,stop=0.1");
  for (int i = 0; i < 2000; ++i) {
    const std::string label = "job " + std::to_string(i);
    const auto a = injection_for(c, label, 1, "n/cpu1"), b = injection_for(c, label, 1, "m/cpu2");
    REQUIRE(a.has_value() == b.has_value());
    if (a) {
      CHECK(a->fault == b->fault);
      CHECK(a->after == b->after);
      kills += a->fault == Fault::kill ? 1 : 0;
      stops += a->fault == Fault::stop ? 1 : 0;
    }
    same_as_other_seed += a.has_value() == injection_for(other, label, 1, "n/cpu1").has_value() ? 1 : 0;
  }
  CHECK(kills > 330);
  CHECK(kills < 470);
  CHECK(stops > 140);
  CHECK(stops < 260);
  CHECK(same_as_other_seed < 1400);
}

TEST_CASE("chaos: a named job fails on the named device only, whatever its attempt") {
  const ChaosSpec c = parse_chaos("oom=-3@cpu1");
  const auto hit = injection_for(c, "unlearn exact -3 (seed 0)", 5, "node/cpu1");
  REQUIRE(hit);
  CHECK(hit->fault == Fault::report);
  CHECK(hit->error == ErrorClass::out_of_memory);
  CHECK_FALSE(injection_for(c, "unlearn exact -3 (seed 0)", 5, "node/cpu2"));
  CHECK_FALSE(injection_for(c, "unlearn exact -4 (seed 0)", 5, "node/cpu1"));
  CHECK(injection_for(parse_chaos("crash=*"), "anything", 1, "x"));
  const auto full = injection_for(parse_chaos("disk=train@cpu2"), "train full", 2, "node/cpu2");
  REQUIRE(full);
  CHECK(full->fault == Fault::disk);
}

TEST_CASE("chaos: the coordinator dies at other commits in every life, so that a run gets through") {
  const ChaosSpec c = parse_chaos("seed=1,torn=0.3,coordinator=0.3");
  int torn = 0, die = 0, both = 0;
  for (int i = 0; i < 1000; ++i) {
    const std::string label = "job " + std::to_string(i);
    const CoordinatorFault first = coordinator_fault(c, label, 1);
    torn += first == CoordinatorFault::torn ? 1 : 0;
    die += first == CoordinatorFault::die ? 1 : 0;
    both += first != CoordinatorFault::none && coordinator_fault(c, label, 2) != CoordinatorFault::none ? 1 : 0;
  }
  CHECK(torn > 240);
  CHECK(torn < 360);
  CHECK(die > 240);
  CHECK(both < 440);
}

}  // namespace guda
