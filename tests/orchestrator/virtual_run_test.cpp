#include "orchestrator/virtual_run.hpp"

#include <doctest/doctest.h>

namespace guda::orchestrator {
namespace {
JobNode job(double cost, std::vector<std::uint32_t> inputs = {}) {
  JobNode node{cost, {}};
  for (const auto i : inputs) node.inputs.emplace_back(i);
  return node;
}
}  // namespace

TEST_CASE("virtual run: longest first keeps the makespan at the bound where the shortest first would not") {
  const std::vector<JobNode> jobs{job(1), job(1), job(1), job(1), job(4)};
  const VirtualRun run = run_virtually(jobs, std::vector<bool>(5, false), {.workers = 2});
  CHECK(run.makespan == doctest::Approx(4));
  CHECK(run.utilisation == doctest::Approx(1));
}

TEST_CASE("virtual run: a chain takes its length whatever the number of workers") {
  CHECK(run_virtually({job(2), job(3, {0}), job(1, {1})}, {false, false, false}, {.workers = 8}).makespan == doctest::Approx(6));
}

TEST_CASE("virtual run: what is committed costs nothing") {
  CHECK(run_virtually({job(2), job(3, {0})}, {true, false}, {.workers = 1}).makespan == doctest::Approx(3));
  CHECK(run_virtually({job(2)}, {true}, {.workers = 1}).makespan == 0);
}

}  // namespace guda::orchestrator
