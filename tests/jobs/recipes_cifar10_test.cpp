// Every CIFAR-10 recipe loads and plans, here over a few images of the same layout.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <string>

#include "common/config/issues.hpp"
#include "common/error.hpp"
#include "jobs/cifar10.hpp"
#include "jobs/dataset.hpp"
#include "jobs/experiment_file.hpp"
#include "jobs/guide_model.hpp"
#include "jobs/methods/methods.hpp"
#include "jobs/operators.hpp"
#include "jobs/planner.hpp"
#include "tests/support/scratch_folder.hpp"
#include "tests/support/small_cifar10.hpp"

using namespace guda;
using namespace guda::jobs;

namespace {

struct Recipes {
  test::ScratchFolder data;
  Recipes() {
    test::write_small_cifar10(data.path(), 150, 20);
    // Planning asks an encoder for its files' digests only.
    for (const char* file : {"config.json", "model.safetensors"}) std::ofstream(data.path() / file) << "{}";
  }
  [[nodiscard]] Experiment load(const std::string& name) const {
    std::vector<std::string> settings{"dataset.path=" + data.path().string(), "dataset.train=300"};
    if (name == "cifar10-paper.yaml") settings.push_back("methods.clipa.similarity.encoder=" + data.path().string());
    return load_experiment(std::filesystem::path(GUDA_SOURCE_DIR) / "jobs/recipes" / name, settings);
  }
  [[nodiscard]] Plan plan(const std::string& name) const {
    const Experiment e = load(name);
    return make_plan(e, load_dataset(e.dataset), {"cpu", "avx2", "float32", 1});
  }
};

std::map<std::string, int> kinds(const Plan& plan) {
  std::map<std::string, int> count;
  for (const JobSpec& job : plan.jobs) ++count[kind_of(job.work)];
  return count;
}

}  // namespace

TEST_CASE("recipes: cifar10-paper is the published experiment - steps, grid, queries, seeds of what is compared") {
  const Recipes recipes;
  const Experiment e = recipes.load("cifar10-paper.yaml");
  CHECK(e.training.steps == 2400 * 195);
  CHECK(e.training.horizon == 2600 * 195);
  CHECK(e.training.batch == 256);
  CHECK(e.training.ema_max_decay == 0);
  CHECK(e.queries[0].count == 2048);
  CHECK(e.queries[0].sampler.kind == "ddpm");
  CHECK(e.queries[0].sampler.steps == 4000);
  CHECK(e.queries[1].role == "tuning");
  const Plan plan = recipes.plan("cifar10-paper.yaml");
  CHECK(plan.slots.size() == 2 * 399);  // the oracle's draws and the methods'
  CHECK(plan.groups.size() == 10);
  auto count = kinds(plan);
  CHECK(count["train"] == 12);  // full, ten without a class, the guide of esd_class
  CHECK(count["unlearn"] == 13 * 10);
  CHECK(std::count_if(plan.queries.begin(), plan.queries.end(), [](const Query& q) { return q.role == "tuning"; }) ==
        256);
}

std::size_t operators_without_text() {
  return static_cast<std::size_t>(
      std::count_if(operators().begin(), operators().end(), [](const OperatorInfo& op) { return !op.text_to_image; }));
}

TEST_CASE("recipes: cifar10-paper and digits-all-methods use every method and every operator for models without text") {
  const Recipes recipes;
  const auto digits = std::filesystem::path(GUDA_SOURCE_DIR) / "jobs/recipes/digits-all-methods.yaml";
  for (const Experiment& e : {recipes.load("cifar10-paper.yaml"), load_experiment(digits)}) {
    CAPTURE(e.name);
    std::set<std::string> used, unlearn;
    for (const MethodConfig& m : e.methods) {
      used.insert(m.method);
      if (m.method == "guda") unlearn.insert(m.unlearn.op);
    }
    CHECK(used.size() == methods().size());
    CHECK(unlearn.size() == operators_without_text());
  }
}

TEST_CASE("recipes: a CLIP folder that is not there is an error that names the key and the cure") {
  const Recipes recipes;
  Experiment e = recipes.load("cifar10-paper.yaml");
  for (MethodConfig& m : e.methods) m.similarity.encoder = m.name == "clipa" ? "/nowhere" : "";
  CHECK_THROWS_WITH_AS((void)make_plan(e, load_dataset(e.dataset), {"cpu", "avx2", "float32", 1}),
                       doctest::Contains("--set methods.clipa.similarity.encoder=FOLDER"), Error);
}

TEST_CASE("scoring grid: 10, 20, ..., 990 of Stable Diffusion are 99 slots a draw (methods.md 0.3.2)") {
  const Recipes recipes;
  Experiment e = recipes.load("cifar10-16px.yaml");
  e.diffusion.schedule = "scaled_linear";
  e.diffusion.beta_start = 0.00085;
  e.diffusion.beta_end = 0.012;
  e.scoring.first_timestep = 10;
  e.scoring.last_timestep = 990;
  e.scoring.stride = 10;
  const Plan plan = make_plan(e, load_dataset(e.dataset), {"cpu", "avx2", "float32", 1});
  CHECK(plan.slots.size() == 2 * 99);
  CHECK(plan.slots[0].weight == doctest::Approx(5.1756e-02).epsilon(1e-4));
}

TEST_CASE("recipes: the study at 16 x 16 has two oracles and four operators at one cost") {
  const Recipes recipes;
  const Plan plan = recipes.plan("cifar10-16px.yaml");
  auto count = kinds(plan);
  CHECK(count["train"] == 2 * 11);
  CHECK(count["unlearn"] == 4 * 10);
  std::set<double> costs;
  for (const JobSpec& job : plan.jobs) {
    if (std::holds_alternative<UnlearnSpec>(job.work)) costs.insert(job.cost);
  }
  CHECK(*costs.rbegin() < 1.2 * *costs.begin());
  CHECK(plan.experiment.queries[0].count == 512);
}

TEST_CASE(
    "recipes: settings are tuned on other images than the reported ones, and the plan says on which (methods.md "
    "13.3)") {
  const Recipes recipes;
  for (const char* name : {"cifar10-16px.yaml", "cifar10-paper.yaml"}) {
    const Plan plan = recipes.plan(name);
    std::map<std::string, std::uint64_t> seeds;
    for (const JobSpec& job : plan.jobs) {
      if (const auto* sample = std::get_if<SampleSpec>(&job.work)) seeds[sample->set.name] = sample->seed;
    }
    CHECK(seeds.at("tuning") != seeds.at("generated"));
    std::set<std::string> names, roles;
    for (const Query& query : plan.queries) {
      CHECK(names.insert(query.name).second);  // the name keys all noise of a query
      CHECK((query.set == "tuning") == (query.role == "tuning"));
      roles.insert(query.role);
    }
    CHECK(roles.size() == 2);
  }
}

TEST_CASE("recipes: the variants of the study ask other questions of the same full and LOGO models") {
  const Recipes recipes;
  const auto trained = [&](const std::string& name) {
    std::set<std::string> digests;
    for (const JobSpec& job : recipes.plan(name).jobs) {
      const auto* train = std::get_if<TrainSpec>(&job.work);
      if (train != nullptr && !is_guide_model(train->model)) digests.insert(job.digest.hex);
    }
    return digests;
  };
  const auto base = trained("cifar10-16px.yaml");
  CHECK(base.size() == 22);
  CHECK(trained("cifar10-16px-operators.yaml") == base);
  CHECK(trained("cifar10-16px-cost.yaml") == base);
  CHECK(recipes.plan("cifar10-16px-redundant.yaml").groups.size() == 20);
  CHECK(recipes.plan("cifar10-16px-unequal.yaml").groups.size() == 10);
  CHECK(recipes.plan("cifar10-16px-mixed.yaml").groups.front() == "subset_0");
}

TEST_CASE(
    "recipes: cifar10-16px-operators and -tiny use every operator for models without text, -cost five costs of two of "
    "them") {
  const Recipes recipes;
  for (const char* name : {"cifar10-16px-operators.yaml", "cifar10-16px-tiny.yaml"}) {
    std::set<std::string> used;
    for (const MethodConfig& m : recipes.load(name).methods) {
      if (m.method == "guda") used.insert(m.unlearn.op);
    }
    CHECK(used.size() == operators_without_text());
    CHECK(kinds(recipes.plan(name))["unlearn"] == 15 * 10);
  }
  std::map<std::string, std::set<std::uint32_t>> steps;
  for (const MethodConfig& m : recipes.load("cifar10-16px-cost.yaml").methods) {
    if (m.method == "guda") steps[m.unlearn.op].insert(m.unlearn.steps);
  }
  CHECK(steps["retrack_exact"] == std::set<std::uint32_t>{30, 60, 120, 240, 480});
  CHECK(steps["ifu"] == std::set<std::uint32_t>{26, 52, 104, 208, 416});
  CHECK(steps.size() == 2);
}

TEST_CASE("recipes: cifar10-paper can be planned without the images, with the published counts") {
  const auto path = std::filesystem::path(GUDA_SOURCE_DIR) / "jobs/recipes/cifar10-paper.yaml";
  const Experiment e = load_experiment(path, {"dataset.path=/nowhere"}, /*data_may_be_missing=*/true);
  const Plan plan =
      make_plan(e, published_cifar10(e.dataset), {"cuda", "avx2", "float32", 1}, /*weights_may_be_missing=*/true);
  CHECK(plan.groups.size() == 10);
  CHECK(plan.groups.front() == "airplane");
  for (const Digest& removal : plan.group_removals) CHECK(plan.removal_sets.at(removal).items.size() == 5000);
  auto count = kinds(plan);
  CHECK(count["train"] == 12);
  CHECK(plan.dataset != Recipes().plan("cifar10-paper.yaml").dataset);  // never taken for work on real data
  DatasetConfig config = e.dataset;
  config.train = 50001;
  CHECK_THROWS_WITH_AS((void)published_cifar10(config), doctest::Contains("choose 1..50000"), Error);
}

TEST_CASE("recipes: without the images a CIFAR-10 recipe says where they are missed and what to do") {
  const auto path = std::filesystem::path(GUDA_SOURCE_DIR) / "jobs/recipes/cifar10-16px.yaml";
  CHECK_THROWS_WITH_AS((void)load_experiment(path, {"dataset.path=/nowhere"}),
                       doctest::Contains("--set dataset.path=FOLDER"), config::ConfigError);
}
