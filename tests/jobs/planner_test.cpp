#include "jobs/planner.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <set>

#include "jobs/guide_model.hpp"
#include "tests/support/fake_plan.hpp"

namespace guda::jobs {
namespace {

using test::labelled;

std::map<std::string, int> kinds(const Plan& plan) {
  std::map<std::string, int> count;
  for (const JobSpec& job : plan.jobs) ++count[kind_of(job.work)];
  return count;
}

}  // namespace

TEST_CASE("planner: LOGO trains once per group, GUDA unlearns once per group, everything shares the full model") {
  const Plan plan = test::small_plan();
  auto count = kinds(plan);
  CHECK(count["train"] == 11);
  CHECK(count["unlearn"] == 10);
  // Two query blocks: the full model and LOGO on both draw sets, the operator on the methods' set only.
  CHECK(count["score"] == 2 * (2 + 10 * 2 + 10 * 1));
  CHECK(count["attribute"] == 1);
}

TEST_CASE("planner: gangs train, with digests of their own; without them every digest is what it was") {
  Experiment e = test::small_experiment();
  const Dataset data = load_dataset(e.dataset);
  const Numerics numerics{"cpu", "avx2", "float32", 1};
  const Plan alone = make_plan(e, data, numerics);
  e.resources.gang = 2;
  const Plan pairs = make_plan(e, data, numerics);
  CHECK_FALSE(to_json(alone.jobs[0].work).contains("gang"));
  REQUIRE(pairs.jobs.size() == alone.jobs.size());
  std::set<Digest> known;
  for (const JobSpec& job : alone.jobs) known.insert(job.digest);
  for (const JobSpec& job : pairs.jobs) {
    const bool trains = std::holds_alternative<TrainSpec>(job.work);
    CHECK(gang_of(job.work) == (trains ? 2 : 1));
    if (trains) CHECK_FALSE(known.contains(job.digest));
  }
  const JobSpec &one = labelled(alone, "train full"), &two = labelled(pairs, "train full");
  CHECK(two.cost > one.cost / 2);  // the gradients have to be added up
  CHECK(two.cost < one.cost);
  CHECK(work_from_json(to_json(two.work)).index() == two.work.index());
  CHECK(gang_of(work_from_json(to_json(two.work))) == 2);
}

TEST_CASE("planner: methods share features, and a setting of the solve makes no features again") {
  Experiment experiment = test::small_plan().experiment;
  const auto method = [](const std::string& name, const std::string& kind) {
    MethodConfig config;
    config.name = name;
    config.method = kind;
    return config;
  };
  const auto planned = [&](std::vector<MethodConfig> more) {
    Experiment e = experiment;
    e.methods.insert(e.methods.end(), more.begin(), more.end());
    return make_plan(e, load_dataset(e.dataset), {});
  };
  const auto count = [&](std::vector<MethodConfig> more, const std::string& kind) {
    auto all = kinds(planned(std::move(more)));
    return all[kind];
  };
  MethodConfig das = method("das", "das"), signed_das = method("das_signed", "das");
  das.gradients.block = signed_das.gradients.block = 100;
  signed_das.gradients.squared = false;
  signed_das.gradients.rho = 0.5;
  const auto items = static_cast<int>(load_dataset(experiment.dataset).train.size());
  CHECK(count({das}, "features") == (items + 99) / 100 + 2);  // and the two query blocks
  CHECK(count({das, signed_das}, "features") == count({das}, "features"));
  CHECK(count({das, signed_das}, "attribute") == count({das}, "attribute") + 1);
  CHECK(count({method("trak", "trak"), method("dtrak", "dtrak")}, "attribute") == 3);
  CHECK(count({method("abu", "abu"), method("mucs", "mucs")}, "mirror") == 4);
}

TEST_CASE("planner: controls of an older version keep their digests, whatever newer methods can be asked") {
  AttributeSpec control;
  control.method = "knn";
  const Json json = to_json(Work{control});
  CHECK(json.size() == 6);  // kind, method, k, seed, queries, groups
}

TEST_CASE("planner: inputs precede their users and every job has its own digest") {
  const Plan plan = test::small_plan();
  std::set<Digest> seen;
  for (const JobSpec& job : plan.jobs) {
    for (const Digest& input : job.inputs) CHECK_MESSAGE(seen.contains(input), job.label);
    CHECK_MESSAGE(seen.insert(job.digest).second, job.label);
  }
}

TEST_CASE("planner: equal experiments give equal plans") {
  const Plan a = test::small_plan(), b = test::small_plan();
  CHECK(a.digest == b.digest);
  CHECK(to_json(a) == to_json(b));
}

TEST_CASE("planner: golden digests - a change of what a job computes must be a change of its semantics version") {
  // When this fails and the computation did not change, the canonical JSON did: think before you accept new values.
  const Plan plan = test::small_plan();
  const std::map<std::string, std::string> golden{
      {"train full", "fecab2b66efaed14ba088f93a4e083cd"},
      {"train -3", "fbda279738c4235faf3396e8602f43ca"},
      {"sample real", "cc43de6c6421d1e1816a786aaa206fc1"},
      {"unlearn retrack_exact -3", "2d5d3653720e3e58d67b2430b5e95395"},
      {"score full", "a69c749a05e4987a7dc274721477c57d"},
      {"attribute random", "20e62970659b37601887e9b150851f4a"},
  };
  for (const auto& [label, digest] : golden) CHECK_MESSAGE(labelled(plan, label).digest.hex == digest, label);
}

TEST_CASE("planner: the group order of random streams is shared, so only the removal set tells LOGO jobs apart") {
  const Plan plan = test::small_plan();
  const auto& a = std::get<TrainSpec>(labelled(plan, "train -0").work);
  const auto& b = std::get<TrainSpec>(labelled(plan, "train -1").work);
  const auto& full = std::get<TrainSpec>(labelled(plan, "train full").work);
  CHECK(a.seed == b.seed);
  CHECK(a.seed == full.seed);
  CHECK(a.removal != b.removal);
  CHECK(full.removal.empty());
}

TEST_CASE("planner: a second LOGO seed has its own full model and other streams") {
  Experiment e = test::small_experiment();
  MethodConfig second = e.methods[0];
  second.name = "logo_b";
  second.seed = 1;
  e.methods.push_back(second);
  const Plan plan = make_plan(e, load_dataset(e.dataset), {});
  CHECK(kinds(plan)["train"] == 22);
  bool own_full = false;
  for (const JobSpec& job : plan.jobs) {
    for (const Placement& p : job.placements) own_full = own_full || p.method == "full__logo_b";
  }
  CHECK(own_full);
}

TEST_CASE("planner: numerics, data set and seeds enter every digest; names of methods do not") {
  const Experiment e = test::small_experiment();
  const Dataset data = load_dataset(e.dataset);
  const Plan base = make_plan(e, data, {"cpu", "avx2", "float32", 1});
  const auto shared = [&](const Plan& other) {
    std::set<Digest> mine;
    for (const auto& job : base.jobs) mine.insert(job.digest);
    return std::count_if(other.jobs.begin(), other.jobs.end(),
                         [&](const JobSpec& job) { return mine.contains(job.digest); });
  };
  CHECK(shared(make_plan(e, data, {"cpu", "avx512", "float32", 1})) == 0);
  Experiment renamed = e;
  renamed.methods[1].name = "other_name";
  CHECK(shared(make_plan(renamed, data, {"cpu", "avx2", "float32", 1})) == static_cast<long>(base.jobs.size()));
  Experiment split = e;
  split.dataset.split_seed = 1;
  CHECK(shared(make_plan(split, load_dataset(split.dataset), {"cpu", "avx2", "float32", 1})) == 0);
}

TEST_CASE("planner: weights of slots are the ELBO's, shared by the draws") {
  Experiment e = test::small_experiment();
  e.scoring.draws = 2;
  const Plan two = make_plan(e, load_dataset(e.dataset), {});
  const Plan one = test::small_plan();
  CHECK(two.slots.size() == 12);
  CHECK(two.slots[0].weight * 2 == doctest::Approx(one.slots[0].weight));
  CHECK(std::set<std::uint32_t>{two.slots[0].draw, two.slots[3].draw, two.slots[6].draw, two.slots[9].draw}.size() ==
        4);
}

TEST_CASE("planner: pairs and drawn slots make other Score jobs and no other models") {
  Experiment e = test::small_experiment();
  const Dataset data = load_dataset(e.dataset);
  const Numerics numerics{"cpu", "avx2", "float32", 1};
  const auto digests_of = [&](bool scores) {
    std::set<Digest> digests;
    for (const JobSpec& job : make_plan(e, data, numerics).jobs) {
      if (std::holds_alternative<ScoreSpec>(job.work) == scores) digests.insert(job.digest);
    }
    return digests;
  };
  const auto models = digests_of(false), scores = digests_of(true);
  e.scoring.antithetic = true;
  CHECK(digests_of(false) == models);
  const auto pairs = digests_of(true);
  CHECK(pairs.size() == scores.size());
  for (const Digest& digest : pairs) CHECK_FALSE(scores.contains(digest));
  const Plan plan = make_plan(e, data, numerics);
  const auto& spec = std::get<ScoreSpec>(labelled(plan, "score full").work);
  CHECK(spec.slots.size() == 6);
  const std::vector<Slot> back = std::get<ScoreSpec>(work_from_json(to_json(Work{spec}))).slots;
  for (std::size_t i = 0; i < back.size(); ++i) CHECK(back[i].negated == (i % 2 == 1));
  e.scoring.antithetic = false;
  e.scoring.allocation = "weight";
  e.scoring.slots = 8;
  CHECK(digests_of(false) == models);
  CHECK(digests_of(true).size() == scores.size());
  const Plan drawn = make_plan(e, data, numerics);
  CHECK(std::get<ScoreSpec>(labelled(drawn, "score logo -3").work).slots.size() == 8);
  CHECK_FALSE(awaits_pilot(drawn));
  CHECK(to_json(plan_from_json(to_json(drawn))) == to_json(drawn));
  CHECK(plan_from_json(to_json(drawn)).slots == drawn.slots);
}

TEST_CASE("planner: esd_class has one guide a run seed, trained on everything, which its unlearning jobs read") {
  Experiment e = test::small_experiment();
  MethodConfig method{.name = "esd_class", .method = "guda"};
  method.unlearn.op = "esd_class";
  e.methods.push_back(method);
  e.guide.block_out_channels = {8, 16};
  const Plan plan = make_plan(e, load_dataset(e.dataset), Numerics{"cpu", "avx2", "float32", 1});
  CHECK(kinds(plan)["train"] == 12);
  const JobSpec& guide = labelled(plan, "train guide");
  const auto& train = std::get<TrainSpec>(guide.work);
  CHECK(is_guide_model(train.model));
  CHECK(train.model["projection_class_embeddings_input_dim"] == 11);
  CHECK(train.removal.empty());
  CHECK(train.label_dropout == 0.1);
  const auto& unlearn = std::get<UnlearnSpec>(labelled(plan, "unlearn esd_class -3").work);
  CHECK(unlearn.guide == guide.digest);
  CHECK(std::get<UnlearnSpec>(labelled(plan, "unlearn retrack_exact -3").work).guide.empty());
}

}  // namespace guda::jobs
