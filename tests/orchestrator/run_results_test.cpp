#include "orchestrator/run_results.hpp"

#include <doctest/doctest.h>

#include <set>

#include "jobs/methods/methods.hpp"
#include "jobs/operators.hpp"
#include "tests/support/fake_plan.hpp"

using namespace guda;
using namespace guda::orchestrator;

namespace {

/// The small plan with two methods that read the same gradients, and one that has its own.
jobs::Plan plan_of_features() {
  jobs::Experiment e = test::small_experiment();
  for (const char* name : {"das", "das_signed", "trak"}) {
    jobs::MethodConfig& m = e.methods.emplace_back();
    m.name = name;
    m.method = std::string(name) == "trak" ? "trak" : "das";
    m.gradients.squared = std::string(name) != "das_signed";
  }
  return jobs::make_plan(e, jobs::load_dataset(e.dataset), jobs::Numerics{"cpu", "avx2", "float32", 1});
}

}  // namespace

TEST_CASE("costs: work that two methods share is charged to both, what all start from to none of them") {
  const jobs::Plan plan = plan_of_features();
  const auto charged = charged_methods(plan);
  int shared = 0, own = 0;
  for (const jobs::JobSpec& job : plan.jobs) {
    const auto methods = charged.find(job.digest);
    if (std::holds_alternative<jobs::FeaturesSpec>(job.work)) {
      REQUIRE(methods != charged.end());
      shared += methods->second == std::set<std::string>{"das", "das_signed"};
      own += methods->second == std::set<std::string>{"trak"};
    }
    if (const auto* train = std::get_if<jobs::TrainSpec>(&job.work))
      CHECK(methods->second == std::set<std::string>{train->removal.hex.empty() ? "full" : "logo"});
  }
  CHECK(shared > 1);
  CHECK(own == shared);

  std::map<Digest, Commit> commits;
  for (const jobs::JobSpec& job : plan.jobs) commits[job.digest].seconds = 1;
  const auto costs = method_costs(plan, commits);
  CHECK(costs.at("das").device_seconds == costs.at("das_signed").device_seconds);
  CHECK(costs.at("trak").device_seconds == costs.at("das").device_seconds);
  CHECK(costs.at("random").jobs == 1);
}

TEST_CASE("costs: on a CPU a job costs its processor time per thread, on a GPU the time of the device") {
  jobs::JobSpec job{{}, "train", jobs::TrainSpec{}, {}, 0, {}};
  Commit commit;
  commit.seconds = 30;
  CHECK(device_seconds(job, commit, {"cpu", "avx2", "float32", 2}) == 30);  // an older version's
  commit.metrics["processor_seconds"] = 8;
  CHECK(device_seconds(job, commit, {"cpu", "avx2", "float32", 2}) == 4);
  CHECK(device_seconds(job, commit, {"cuda", "avx2", "float32", 2}) == 30);
  std::get<jobs::TrainSpec>(job.work).gang = 3;
  CHECK(device_seconds(job, commit, {"cpu", "avx2", "float32", 2}) == 12);
}

TEST_CASE("fidelity: guda has its operator's, GUARD's weights make a reconstruction of any") {
  jobs::MethodConfig m;
  m.method = "guda";
  for (const jobs::OperatorInfo& op : jobs::operators()) {
    m.unlearn.op = op.name;
    CHECK(jobs::fidelity_of(m) == op.fidelity);
  }
  m.unlearn.op = "retrack_exact";
  m.unlearn.guard_temperature = 1;
  CHECK(jobs::fidelity_of(m) == "our reconstruction");
  m.method = "trak";
  CHECK(jobs::fidelity_of(m) == "paper formula");
}
