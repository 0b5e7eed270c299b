#include "orchestrator/bench_report.hpp"

#include <doctest/doctest.h>

#include "common/error.hpp"
#include "jobs/cost.hpp"
#include "jobs/reference_networks.hpp"
#include "orchestrator/calibration_file.hpp"
#include "tests/support/fake_plan.hpp"
#include "tests/support/scratch_folder.hpp"

namespace guda::orchestrator {
namespace {

Json row(const std::string& name, double flops, const std::string& dtype = "float32") {
  return {{"name", name},           {"network", "cifar10"}, {"dtype", dtype},      {"batch", 8},
          {"seconds", 0.5},         {"spread", 0.04},       {"times", 3},          {"flops_per_second", flops},
          {"share_of_peak", 0.625}, {"per_second", 16},     {"unit", "forwards/s"}};
}

Json bench() {
  Json skipped = row("cifar10 forward", 1);
  skipped["skipped"] = "would take about 9 s, 1 s of the time are its";
  return {{"schema", 1},
          {"device", "cpu"},
          {"device_memory", 0},
          {"rows",
           {row("cifar10 forward", 50e9), row("cifar10 forward", 80e9), row("cifar10 forward", 900e9, "bfloat16"),
            row("cifar10 training", 60e9), row("cifar10 retrack step", 40e9), skipped}}};
}

jobs::Plan cifar_plan() {
  jobs::Plan plan = test::small_plan();
  plan.experiment.model = jobs::cifar10_unet();
  return plan;
}

}  // namespace

TEST_CASE("bench report: plans predict by the fastest float32 row of each kind of work") {
  const jobs::DeviceCalibration device = calibration_from_bench(bench());
  const jobs::CostPredictor costs(&device, jobs::cifar10_unet(), "cpu x");
  CHECK(costs.measured());
  const jobs::Plan plan = cifar_plan();
  const auto seconds = [&](const char* label) {
    const jobs::JobSpec& job = test::labelled(plan, label);
    return costs.of(job).p50 / jobs::job_flops(job);
  };
  CHECK(seconds("score") == doctest::Approx(1 / 80e9));
  CHECK(seconds("train") == doctest::Approx(1 / 60e9));
  CHECK(seconds("unlearn") == doctest::Approx(1 / 40e9));
}

TEST_CASE("bench report: a network of quite another size is predicted by the assumption, not by the bench") {
  const jobs::DeviceCalibration device = calibration_from_bench(bench());
  const jobs::CostPredictor costs(&device, test::small_experiment().model, "cpu x");
  CHECK_FALSE(costs.measured());
}

TEST_CASE("bench report: the file keeps a bench beside what doctor has calibrated") {
  const test::ScratchFolder folder;
  const auto file = folder / "calibration.json";
  jobs::DeviceCalibration doctor;
  doctor.measured_at = "before";
  doctor.models["own"].macs = 5;
  doctor.models["own"].classes["train"] = {1, 2e9, 0.1};
  store_calibration(file, "cpu x", doctor);
  jobs::DeviceCalibration measured = calibration_from_bench(bench());
  measured.measured_at = "today";
  store_calibration(file, "cpu x", measured);
  store_calibration(file, "cpu x", doctor);
  const jobs::Calibration all = load_calibration(file);
  CHECK(all.at("cpu x").models.size() == 2);
  CHECK(all.at("cpu x").bench.at("rows").size() == 6);
}

TEST_CASE("bench report: people see rates, shares of the peak, targets, and what was left out and why") {
  const std::string text = bench_table(bench());
  CHECK(text.find("62.5 % of the peak") != std::string::npos);
  CHECK(text.find(">= 3.3/s on 2 cores") != std::string::npos);
  CHECK(text.find("not measured: would take about 9 s") != std::string::npos);
  CHECK(bench_target({{"name", "sd15 forward"}, {"dtype", "bfloat16"}}, "cuda") == ">= 420/s");
  CHECK_THROWS_AS(static_cast<void>(calibration_from_bench(Json::parse("{\"schema\": 2}"))), Error);
  CHECK_THROWS_AS(static_cast<void>(calibration_from_bench(Json())), Error);
}

}  // namespace guda::orchestrator
