#include "orchestrator/instruction_set.hpp"

#include <doctest/doctest.h>

#include "common/error.hpp"
#include "common/files.hpp"
#include "orchestrator/journal.hpp"
#include "orchestrator/prepare_run.hpp"
#include "tests/support/fake_plan.hpp"
#include "tests/support/scratch_folder.hpp"

namespace guda::orchestrator {

TEST_CASE(
    "plan, instruction set: a plan of a login node is made anew where its first life begins, and fixed from then on") {
  const test::ScratchFolder scratch;
  const RunLayout run{scratch.path() / "run"};
  make_run_folders(run);
  jobs::Plan login = test::small_plan();
  login.numerics.isa = "avx2";
  login = jobs::make_plan(login.experiment, jobs::load_dataset(login.experiment.dataset), login.numerics);
  CHECK(plan_for_isa(run, login, "avx2").digest == login.digest);

  const jobs::Plan here = plan_for_isa(run, login, "avx512");
  CHECK(here.numerics.isa == "avx512");
  CHECK(here.jobs.size() == login.jobs.size());
  CHECK(here.jobs.front().digest != login.jobs.front().digest);
  // What the node would have planned by itself: the same jobs under the same names.
  CHECK(plan_for_isa(run, here, "avx2").digest == login.digest);

  JournalWriter journal(run.journal(), 1, 0);
  journal.add(RecordType::life, {{"epoch", 1}});
  journal.sync();
  CHECK(plan_for_isa(run, login, "avx2").digest == login.digest);
  CHECK_THROWS_WITH_AS(static_cast<void>(plan_for_isa(run, login, "avx512")),
                       doctest::Contains("Cure: nodes of that kind"), Error);
}

TEST_CASE("plan, instruction set: of a plan for GPUs the processor does not matter") {
  jobs::Plan plan = test::small_plan();
  plan.numerics.device = "cuda";
  plan.numerics.isa = "avx2";
  CHECK(plan_for_isa(RunLayout{"/nowhere"}, plan, "avx512").digest == plan.digest);
}

}  // namespace guda::orchestrator
