#include "orchestrator/estimate.hpp"

#include <doctest/doctest.h>

#include "tests/support/fake_plan.hpp"

namespace guda::orchestrator {
namespace {

Estimate of(const jobs::Plan& plan, EstimateOptions options, std::vector<bool> settled = {}) {
  settled.resize(plan.jobs.size(), false);
  return estimate(plan, settled, jobs::CostPredictor(nullptr, plan.experiment.model, "cpu test"), options);
}

/// Jobs of minutes, so that walltimes of minutes matter.
jobs::Plan slow_plan() {
  jobs::Plan plan = test::small_plan();
  for (auto& job : plan.jobs) job.cost = jobs::kind_of(job.work) == std::string("train") ? 600 : 60;
  return plan;
}

}  // namespace

TEST_CASE("estimate: kinds add up to the whole, LOGO costs its retrainings and GUDA its unlearnings") {
  const jobs::Plan plan = slow_plan();
  const Estimate e = of(plan, {.workers = 2, .startup = 0});
  double sum = 0;
  std::uint64_t jobs = 0;
  for (const auto& [name, kind] : e.kinds) sum += kind.seconds.p50, jobs += kind.jobs;
  CHECK(sum == doctest::Approx(e.device_seconds.p50));
  CHECK(jobs == plan.jobs.size());
  CHECK(e.methods.at("logo").p50 > 4 * e.methods.at("exact").p50);
  CHECK(e.device_seconds.p10 < e.device_seconds.p50);
  CHECK(e.wall_seconds.p50 >= e.device_seconds.p50 / 2);
}

TEST_CASE("estimate: a gang's device-time is that of all its members, its wall time that of one") {
  jobs::Plan plan = slow_plan();
  const Estimate alone = of(plan, {.workers = 2, .workers_per_node = 2, .startup = 0});
  for (auto& job : plan.jobs) {
    if (auto* train = std::get_if<jobs::TrainSpec>(&job.work)) train->gang = 2;
  }
  const Estimate pairs = of(plan, {.workers = 2, .workers_per_node = 2, .startup = 0});
  CHECK(pairs.kinds.at("train").seconds.p50 == doctest::Approx(2 * alone.kinds.at("train").seconds.p50));
  CHECK(pairs.kinds.at("train").longest == doctest::Approx(alone.kinds.at("train").longest));
  CHECK(pairs.wall_seconds.p50 > 600 * 11);  // one pair at a time
  CHECK(of(plan, {.workers = 4, .workers_per_node = 4, .startup = 0}).wall_seconds.p50 < 0.6 * pairs.wall_seconds.p50);
}

TEST_CASE("estimate: what is settled costs nothing more") {
  const jobs::Plan plan = slow_plan();
  const Estimate all = of(plan, {.workers = 1, .startup = 0});
  std::vector<bool> settled(plan.jobs.size(), false);
  settled[0] = true;
  const Estimate less = of(plan, {.workers = 1, .startup = 0}, settled);
  CHECK(all.device_seconds.p50 - less.device_seconds.p50 == doctest::Approx(600));
  CHECK(less.wall_seconds.p50 < all.wall_seconds.p50);
}

TEST_CASE("estimate: a walltime cuts the work into lives, each paid with a requeue") {
  const jobs::Plan plan = slow_plan();
  const Estimate free = of(plan, {.workers = 4, .startup = 10});
  const Estimate cut = of(plan, {.workers = 4, .walltime = 1800, .reserve = 120, .requeue = 120, .startup = 10});
  CHECK(free.lives == 1);
  CHECK(cut.fits);
  CHECK(cut.lives > 1);
  CHECK(cut.wall_seconds.p50 > free.wall_seconds.p50 + 120 * (cut.lives - 1) - 1);
}

TEST_CASE("estimate: a walltime shorter than the longest job without checkpoints does not fit, and the job is named") {
  jobs::Plan plan = slow_plan();
  for (auto& job : plan.jobs) {
    if (std::holds_alternative<jobs::ScoreSpec>(job.work)) job.cost = 4000;
  }
  const Estimate e = of(plan, {.workers = 4, .walltime = 3600, .reserve = 120});
  CHECK_FALSE(e.fits);
  CHECK(e.longest_uncut == doctest::Approx(8000));  // p90 of an assumption
  CHECK(e.longest_uncut_label.find("score") == 0);
  CHECK_FALSE(of(slow_plan(), {.workers = 4, .walltime = 100, .reserve = 120}).fits);
}

TEST_CASE("estimate: retention decides what stays on disk, not what is there at most") {
  jobs::Plan plan = test::small_plan();
  plan.experiment.retention.keep = "all";
  const Estimate all = of(plan, {});
  plan.experiment.retention.keep = "weights";
  const Estimate weights = of(plan, {});
  plan.experiment.retention.keep = "scores";
  const Estimate scores = of(plan, {});
  CHECK(all.disk_peak == scores.disk_peak);
  CHECK(all.disk_kept > weights.disk_kept);
  CHECK(weights.disk_kept > scores.disk_kept);
  CHECK(scores.disk_kept > 0);
}

}  // namespace guda::orchestrator
