#include "orchestrator/pilot_stage.hpp"

#include <doctest/doctest.h>

#include "common/error.hpp"
#include "jobs/pilot.hpp"
#include "orchestrator/results_file.hpp"
#include "orchestrator/retention.hpp"
#include "orchestrator/run_view.hpp"
#include "orchestrator/stages.hpp"
#include "tests/support/fake_run.hpp"

using namespace guda;
using namespace guda::orchestrator;

namespace {

jobs::Plan first_stage(std::uint32_t slots = 8) {
  jobs::Experiment e = test::small_experiment(6);
  e.scoring.allocation = "adaptive";
  e.scoring.slots = slots;
  return jobs::make_plan(e, jobs::load_dataset(e.dataset), jobs::Numerics{"cpu", "avx2", "float32", 1});
}

/// The only segment of the first life.
std::filesystem::path rows_of(const RunLayout& run) { return run.rows() / "1-1.seg"; }

}  // namespace

TEST_CASE("pilot stage: the second stage is planned once the pilot is committed, and is the same from any kill") {
  test::FakeRun run(first_stage());
  CHECK_FALSE(plan_after_pilot(run.run, run.plan, 0));
  run.live(3);
  CHECK_FALSE(plan_after_pilot(run.run, run.plan, 0));
  run.live();
  const auto next = plan_after_pilot(run.run, run.plan, 0);
  REQUIRE(next);
  CHECK_FALSE(jobs::awaits_pilot(*next));
  CHECK(next->pilot_spread.size() == 3);
  CHECK(plan_after_pilot(run.run, run.plan, 0)->digest == next->digest);
  CHECK_FALSE(plan_after_pilot(run.run, *next, 0));

  // Where it was installed, and where the process died before: the experiment alone leads to it.
  PlannedExperiment planned{*next, ""};
  CHECK(install_plan(run.run, planned, true).added.size() == run.plan.next.jobs);
  CHECK(plan_with_the_pilot_so_far(run.run, run.plan).digest == next->digest);
  std::filesystem::remove(run.run.plan());
  CHECK(jobs::awaits_pilot(plan_with_the_pilot_so_far(run.run, run.plan)));
  CHECK(plan_after_pilot(run.run, run.plan, 0)->digest == next->digest);
}

TEST_CASE("pilot stage: between the stages a run is not complete, has a readable file and keeps its models") {
  test::FakeRun run(first_stage());
  run.live();
  const RunView between = view_run(run.run);
  CHECK(between.headline.starts_with("stopped before its end"));
  CHECK(between.status.total == run.plan.jobs.size() + run.plan.next.jobs);
  CHECK(between.status.done == run.plan.jobs.size());
  CHECK(between.status.progress < 1);
  CHECK(read_results(run.run.results()).slots() == 0);
  CHECK(droppable_artifacts(run.run, run.plan, run.settled()).empty());

  run.plan = *plan_after_pilot(run.run, run.plan, 0);
  static_cast<void>(install_plan(run.run, {run.plan, ""}, true));
  CHECK(view_run(run.run).status.done < run.plan.jobs.size());
  run.live();
  const RunView after = view_run(run.run);
  CHECK(after.headline == "complete");
  CHECK(after.status.done == after.status.total);
  const ResultsTable table = read_results(run.run.results());
  CHECK(table.shape.slots == run.plan.slots);
  for (const auto& [name, status] : table.status)
    CHECK(std::count(status.begin(), status.end(), kDone) == static_cast<long>(status.size()));
  CHECK_FALSE(droppable_artifacts(run.run, run.plan, run.settled()).empty());
}

TEST_CASE("pilot stage: rows of the pilot that are lost later do not move slots, and are wanted before") {
  test::FakeRun run(first_stage());
  run.live();
  const jobs::Plan first = run.plan;
  const auto next = plan_after_pilot(run.run, first, 0);
  REQUIRE(next);
  static_cast<void>(install_plan(run.run, {*next, ""}, true));
  std::filesystem::resize_file(rows_of(run.run), 10);
  CHECK(plan_with_the_pilot_so_far(run.run, first).digest == next->digest);
  CHECK_FALSE(plan_after_pilot(run.run, first, 0));  // without plan.json they would have to be made again
  run.plan = *next;
  run.live();
  CHECK(view_run(run.run).headline == "complete");
  CHECK(plan_after_pilot(run.run, first, 0)->digest == next->digest);
}

TEST_CASE("pilot stage: an edited scoring section does not take over what another pilot found") {
  test::FakeRun run(first_stage());
  run.live();
  static_cast<void>(install_plan(run.run, {*plan_after_pilot(run.run, run.plan, 0), ""}, true));
  jobs::Experiment e = run.plan.experiment;
  e.scoring.pilot.draws = 3;
  const jobs::Plan edited = jobs::make_plan(e, jobs::load_dataset(e.dataset), run.plan.numerics);
  CHECK(jobs::awaits_pilot(plan_with_the_pilot_so_far(run.run, edited)));
  CHECK_THROWS_WITH_AS((void)install_plan(run.run, {edited, "", true}, true), doctest::Contains("scoring.pilot: added"),
                       Error);
}

TEST_CASE("pilot stage: an estimate prices both stages") {
  const PlannedExperiment planned{first_stage(), ""};
  const jobs::Plan priced = plan_to_price(planned);
  CHECK(priced.jobs.size() == planned.plan.jobs.size() + planned.plan.next.jobs);
  CHECK(priced.slots.size() == 16);
  const PlannedExperiment grid{test::small_plan(), ""};
  CHECK(plan_to_price(grid).digest == grid.plan.digest);
}
