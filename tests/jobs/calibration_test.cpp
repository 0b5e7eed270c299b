#include "jobs/calibration.hpp"

#include <doctest/doctest.h>

#include "common/error.hpp"
#include "jobs/cost.hpp"
#include "tests/support/fake_plan.hpp"

namespace guda::jobs {
namespace {

const JobSpec& job_of_kind(const Plan& plan, const std::string& kind) {
  for (const JobSpec& job : plan.jobs) {
    if (kind_of(job.work) == kind) return job;
  }
  throw Error("no " + kind);
}

DeviceCalibration measured(const Json& model) {
  DeviceCalibration d;
  d.measured_at = "today";
  ModelCalibration& m = d.models[model_key(model)];
  m.macs = unet2d_macs(model);
  m.classes["train"] = {0.5, 1e9, 0.2};
  m.classes["score"] = {0.1, 2e9, 0.0};
  m.classes["unlearn ifu"] = {1, 1e9, 0.2};
  return d;
}

}  // namespace

TEST_CASE("calibration: what was written is read back, what is no calibration is refused with the cure") {
  const Plan plan = test::small_plan();
  const Calibration all{{"cpu x", measured(plan.experiment.model)}};
  const Calibration back = calibration_from_json(to_json(all));
  CHECK(to_json(back) == to_json(all));
  CHECK_THROWS_AS(static_cast<void>(calibration_from_json(Json::parse(R"({"schema": 2})"))), Error);
  CHECK_THROWS_AS(static_cast<void>(calibration_from_json(Json::parse("[]"))), Error);
  Json damaged = to_json(all);
  damaged["devices"]["cpu x"]["models"].begin().value()["classes"]["train"]["flops"] = -1;
  CHECK_THROWS_AS(static_cast<void>(calibration_from_json(damaged)), Error);
}

TEST_CASE("calibration: a measured class costs its fixed seconds and its FLOPs at the measured rate") {
  const Plan plan = test::small_plan();
  const DeviceCalibration device = measured(plan.experiment.model);
  const CostPredictor costs(&device, plan.experiment.model, "cpu x");
  CHECK(costs.measured());
  const JobSpec& train = job_of_kind(plan, "train");
  const Cost c = costs.of(train);
  CHECK(c.p50 == doctest::Approx(0.5 + job_flops(train) / 1e9));
  CHECK(c.p10 == doctest::Approx(c.p50 / 1.2));
  CHECK(c.p90 == doctest::Approx(c.p50 * 1.2));
}

TEST_CASE("calibration: a job that is not counted in FLOPs costs what its method says") {
  const Plan plan = test::small_plan();
  JobSpec job;
  job.work = AttributeSpec{};
  job.cost = 50;
  const CostPredictor costs(nullptr, plan.experiment.model, "cpu x");
  CHECK(costs.of(job).p50 == 50);
  CHECK(costs.of(job).p90 == 100);
  job.cost = 0;
  CHECK(costs.of(job).p50 > 0);
}

TEST_CASE("calibration: an operator that was not measured borrows another one's rate and a wider range") {
  const Plan plan = test::small_plan();  // unlearns with retrack_exact
  const DeviceCalibration device = measured(plan.experiment.model);
  const JobSpec& unlearn = job_of_kind(plan, "unlearn");
  const Cost c = CostPredictor(&device, plan.experiment.model, "cpu x").of(unlearn);
  CHECK(c.p50 == doctest::Approx(1 + job_flops(unlearn) / 1e9));
  CHECK(c.p90 / c.p50 == doctest::Approx(1.4));
}

TEST_CASE("calibration: without a measurement the assumption is said and the range is a factor of two") {
  const Plan plan = test::small_plan();
  const CostPredictor costs(nullptr, plan.experiment.model, "cpu x");
  CHECK_FALSE(costs.measured());
  CHECK(costs.basis().find("assumed: 30 GFLOP/s") == 0);
  CHECK(costs.basis().find("guda doctor --calibrate") != std::string::npos);
  const Cost c = costs.of(job_of_kind(plan, "train"));
  CHECK(c.p90 == doctest::Approx(4 * c.p10));
}

TEST_CASE("calibration: another model's measurement serves, says so, and is trusted less") {
  const Plan plan = test::small_plan();
  Json other = plan.experiment.model;
  other["block_out_channels"] = {32, 32};
  const DeviceCalibration device = measured(other);
  const CostPredictor costs(&device, plan.experiment.model, "cpu x");
  CHECK(costs.basis().find("of another model") != std::string::npos);
  const Cost c = costs.of(job_of_kind(plan, "train"));
  CHECK(c.p90 / c.p50 > 1.2);
}

}  // namespace guda::jobs
