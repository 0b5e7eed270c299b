#include "orchestrator/reuse.hpp"

#include <doctest/doctest.h>

#include "common/error.hpp"
#include "tests/support/fake_run.hpp"

namespace guda::orchestrator {
namespace {

jobs::Plan reusing(const std::filesystem::path& other) {
  jobs::Plan plan = test::small_plan();
  plan.experiment.reuse = {other};
  return plan;
}

}  // namespace

TEST_CASE("reuse: artifacts of equal digest are linked, verified, and count as done") {
  test::FakeRun first;
  first.live();
  test::FakeRun second(reusing(first.run.folder));
  const Reused reused = link_reused(second.run, second.plan);
  std::size_t artifacts = 0;
  for (const auto& job : second.plan.jobs) artifacts += leaves_artifact(job.work) ? 1 : 0;
  CHECK(reused.artifacts == artifacts);
  CHECK(reused.rejected.empty());
  CHECK(reused.device_seconds > 0);
  const auto settled = second.settled();
  CHECK(std::count(settled.begin(), settled.end(), true) == static_cast<long>(artifacts));
  CHECK(link_reused(second.run, second.plan).artifacts == 0);
  second.live();
  CHECK(compare_view(second.run, second.plan, second.commits(), false).empty());
}

TEST_CASE("reuse: a damaged artifact is not taken, and made here instead") {
  test::FakeRun first;
  first.live();
  const std::size_t full = first.job("train full");
  test::flip_bit(first.run.artifacts() / first.plan.jobs[full].digest.hex / "weights.bin", 1);
  test::FakeRun second(reusing(first.run.folder));
  const Reused reused = link_reused(second.run, second.plan);
  REQUIRE(reused.rejected.size() == 1);
  CHECK(reused.rejected[0].find("other content") != std::string::npos);
  CHECK_FALSE(second.settled()[full]);
}

TEST_CASE("reuse: when the other run is gone its artifacts are made again") {
  test::FakeRun second;
  {
    test::FakeRun first;
    first.live();
    second.plan = reusing(first.run.folder);
    link_reused(second.run, second.plan);
  }
  CHECK_THROWS_WITH_AS(link_reused(second.run, second.plan), doctest::Contains("reuse:"), Error);
  second.plan.experiment.reuse.clear();
  link_reused(second.run, second.plan);
  const auto settled = second.settled();
  CHECK(std::count(settled.begin(), settled.end(), true) == 0);
  second.live();
  CHECK(std::filesystem::is_directory(second.run.artifacts() / second.plan.jobs[0].digest.hex));
}

}  // namespace guda::orchestrator
