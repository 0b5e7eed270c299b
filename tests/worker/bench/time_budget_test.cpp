#include "worker/bench/time_budget.hpp"

#include <doctest/doctest.h>

#include "common/error.hpp"

using namespace guda;
using namespace guda::worker;

TEST_CASE("time budget: measurements share the time by weight, and what one leaves is the others'") {
  double now = 100;
  TimeBudget budget(10, {1, 1, 2}, [&] { return now; });
  CHECK(budget.next() == doctest::Approx(2.5));
  now += 1;
  CHECK(budget.next() == doctest::Approx(3));
  now += 6;
  CHECK(budget.next() == doctest::Approx(3));
  CHECK_THROWS_AS(static_cast<void>(budget.next()), Bug);
  now += 20;
  CHECK(budget.left() == 0);
}

TEST_CASE("time budget: work is repeated while another time fits, at least once after the warm-up") {
  double now = 0;
  std::vector<double> takes{5, 1, 2, 1, 1, 1, 1, 1, 1};
  std::size_t done = 0;
  const auto work = [&] { now += takes.at(done++); };
  const Repeated some = repeat(9.5, 20, work, [&] { return now; });
  CHECK(some.times == 2);  // 5 + 1 + 2, and one more as long would end at 10
  CHECK(some.median == 1.5);
  CHECK(some.spread == doctest::Approx(2.0 / 3));
  done = 0;
  CHECK(repeat(0, 20, work, [&] { return now; }).times == 1);
  done = 0;
  CHECK(repeat(1000, 4, work, [&] { return now; }).times == 4);
}
