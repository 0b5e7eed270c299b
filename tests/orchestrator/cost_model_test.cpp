#include "orchestrator/cost_model.hpp"

#include <doctest/doctest.h>

#include <array>
#include <cmath>

namespace guda::orchestrator {

TEST_CASE("cost model: without a measurement the plan's word is taken, within a factor of two") {
  const CostRange r = CostModel().estimate(0, 100);
  CHECK(r.p50 == 100);
  CHECK(r.p10 > 40);
  CHECK(r.p10 < 70);
  CHECK(r.p90 > 150);
  CHECK(r.p90 < 250);
}

TEST_CASE("cost model: each kind learns its own ratio, and the range narrows") {
  CostModel m;
  m.observe(0, 10, 20);
  const double wide = m.ratio(0).p90 / m.ratio(0).p50;
  for (int i = 0; i < 50; ++i) m.observe(0, 10, i % 2 ? 19 : 21);
  for (int i = 0; i < 50; ++i) m.observe(2, 10, 5);
  CHECK(m.estimate(0, 100).p50 == doctest::Approx(200).epsilon(0.01));
  CHECK(m.estimate(2, 100).p50 == doctest::Approx(50));
  CHECK(m.ratio(0).p90 / m.ratio(0).p50 < 1.15);
  CHECK(wide > 1.3);
  CHECK(m.observations() == 101);
}

TEST_CASE("cost model: a kind that was never measured borrows the speed of the others, not their certainty") {
  CostModel m;
  for (int i = 0; i < 100; ++i) m.observe(0, 10, 30);
  CHECK(m.estimate(1, 10).p50 == doctest::Approx(30));
  CHECK(m.ratio(1).p90 / m.ratio(1).p50 > 1.5);
}

TEST_CASE("cost model: p10 and p90 cover what they say of jobs that vary by a factor") {
  CostModel m;
  unsigned state = 1;
  const auto next = [&] {  // ln ratio uniform in +-0.7
    state = state * 1664525U + 1013904223U;
    return std::exp(1.4 * (double(state) / 4294967296.0) - 0.7);
  };
  for (int i = 0; i < 500; ++i) m.observe(0, 10, 10 * next());
  int below = 0, above = 0;
  for (int i = 0; i < 1000; ++i) {
    const double measured = 10 * next();
    below += measured < m.estimate(0, 10).p10 ? 1 : 0;
    above += measured > m.estimate(0, 10).p90 ? 1 : 0;
  }
  CHECK(below < 180);
  CHECK(above < 180);
  CHECK(below + above > 50);
}

TEST_CASE("cost model: the total of many jobs is surer than a single one") {
  CostModel m;
  for (int i = 0; i < 100; ++i) m.observe(0, 10, i % 2 ? 5 : 20);
  const std::array<WorkLeft, 1> left{{{1000, 100}}};
  const CostRange total = m.total(left), single = m.estimate(0, 10);
  CHECK(total.p50 == doctest::Approx(1250));
  CHECK(total.p90 / total.p50 < 0.5 * single.p90 / single.p50);
  CHECK(m.total({}).p50 == 0);
}

TEST_CASE("cost model: what can't be learned from is ignored") {
  CostModel m;
  m.observe(0, 0, 5);
  m.observe(0, 5, 0);
  m.observe(0, 5, std::nan(""));
  m.observe(0, std::nan(""), 5);
  CHECK(m.observations() == 0);
  CHECK(m.estimate(0, 10).p50 == 10);
}

}  // namespace guda::orchestrator
