#include "orchestrator/calibrate.hpp"

#include <doctest/doctest.h>

#include <map>

#include "jobs/cost.hpp"
#include "jobs/planner.hpp"
#include "tests/support/fake_plan.hpp"

namespace guda::orchestrator {

TEST_CASE("calibrate: two job sizes tell rate and fixed part; a hiccup in the small one does not") {
  const jobs::Rate rate = rate_from(1e9, 0.7, 11e9, 5.7);
  CHECK(rate.flops == doctest::Approx(2e9));
  CHECK(rate.fixed == doctest::Approx(0.2));
  const jobs::Rate odd = rate_from(1e9, 5.6, 11e9, 5.7);
  CHECK(odd.flops == doctest::Approx(11e9 / 5.7));
  CHECK(rate_from(1e9, 0.1, 11e9, 5.7).fixed == 0);  // never negative
}

TEST_CASE("calibrate: the trial has a short job of every cost class of the experiment, with its batch sizes") {
  jobs::Experiment e = test::small_experiment();
  e.training.steps = 600;
  e.resources.gang = 2;
  e.queries.push_back({.name = "generated", .kind = "generated", .count = 256, .sampler = {}, .images = {}});
  jobs::MethodConfig ifu = e.methods[1], again = e.methods[1];
  ifu.name = "ifu";
  ifu.unlearn.op = "ifu";
  again.name = "exact_again";
  e.methods.push_back(ifu);
  e.methods.push_back(again);
  const jobs::Experiment trial = trial_of(e);
  CHECK(trial.training.batch == e.training.batch);
  CHECK(trial.training.steps <= 4);
  CHECK(trial.scoring.batch == e.scoring.batch);
  const jobs::Plan plan = jobs::make_plan(trial, jobs::load_dataset(trial.dataset), {"cpu", "avx2", "float32", 1});
  std::map<std::string, int> classes;
  for (const auto& job : plan.jobs) {
    ++classes[jobs::cost_class(job.work)];
    CHECK(jobs::gang_of(job.work) == 1);  // each worker is measured by itself
  }
  for (const char* needed : {"train", "unlearn retrack_exact", "unlearn ifu", "sample", "score"})
    CHECK_MESSAGE(classes[needed] > 0, needed);
  CHECK(classes["train"] == 1);
}

}  // namespace guda::orchestrator
