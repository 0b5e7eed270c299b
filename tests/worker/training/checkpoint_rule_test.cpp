#include "worker/training/checkpoint_rule.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <string>

using namespace guda::worker;

TEST_CASE(
    "checkpoint rule: a tenth of the job, at most five minutes, at least twenty times the writing and two seconds") {
  const CheckpointRule rule;
  CHECK(checkpoint_interval(rule, 600, 0.1) == doctest::Approx(60));
  CHECK(checkpoint_interval(rule, 1e5, 0.1) == 300);
  CHECK(checkpoint_interval(rule, 600, 10) == 200);   // a slow disk
  CHECK(checkpoint_interval(rule, 1e5, 60) == 1200);  // a very slow one outweighs the five minutes
  CHECK(checkpoint_interval(rule, 5, 0.001) == 2);
  CHECK(checkpoint_interval(rule, 600, 0) == doctest::Approx(60));  // nothing written yet
}

TEST_CASE("checkpoint rule: a fixed interval is taken as it is") {
  CheckpointRule rule;
  rule.every = 0.05;
  CHECK(checkpoint_interval(rule, 1e5, 60) == 0.05);
}

TEST_CASE("checkpoint rule: jitter is a function of worker and count, spreads workers and stays within a fifth") {
  double low = 2, high = 0;
  for (int worker = 0; worker < 200; ++worker) {
    const std::string name = "node" + std::to_string(worker) + "/cpu1";
    for (std::uint64_t count = 0; count < 5; ++count) {
      const double factor = checkpoint_jitter(name, count);
      CHECK(factor == checkpoint_jitter(name, count));
      low = std::min(low, factor);
      high = std::max(high, factor);
    }
  }
  CHECK(low >= 0.8);
  CHECK(low < 0.81);
  CHECK(high < 1.2);
  CHECK(high > 1.19);
  CHECK(checkpoint_jitter("a", 0) != checkpoint_jitter("b", 0));
  CHECK(checkpoint_jitter("a", 0) != checkpoint_jitter("a", 1));
}
