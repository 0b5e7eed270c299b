#include <doctest/doctest.h>

#include "common/error.hpp"
#include "jobs/plan.hpp"

using namespace guda;
using namespace guda::jobs;

namespace {

Plan small_plan() {
  Plan plan;
  plan.experiment.name = "small";
  plan.experiment.methods.resize(1);
  plan.experiment.methods[0].name = "logo";
  plan.dataset = digest_of(std::string_view("data"));
  plan.groups = {"0", "zwölf <&>"};
  for (std::uint32_t k = 0; k < 2; ++k) {
    const Digest removal = digest_of("removal " + std::to_string(k));
    plan.group_removals.push_back(removal);
    plan.removal_sets[removal] = {"group " + std::to_string(k), {k, k + 2, 4294967295U}};
  }
  plan.queries = {{"generated/s0/0000", "generated", 0, ""}, {"real/s1/0007", "real", 1, "0"}};
  plan.blocks = {{0, 1}, {1, 1}};
  plan.slots = {{10, 0, 0.1 + 0.2}, {10, 1, 5e-324}};
  plan.numerics = {"cpu", "avx2", "float32", 2};
  JobSpec train{digest_of(std::string_view("job")), "train full (seed 0)", TrainSpec{}, {}, 23.5, {}};
  JobSpec score{digest_of(std::string_view("score")),        "score", ScoreSpec{}, {train.digest}, 0.125,
                {{"full", 0, 1, 1, 0}, {"logo", 1, 0, 0, 1}}};
  std::get<ScoreSpec>(score.work).slots = {{10, 1, 0.5}};
  plan.jobs = {train, score};
  plan.digest = digest_of(std::string_view("plan"));
  return plan;
}

std::string refusal(const Json& json) {
  try {
    (void)plan_from_json(json);
  } catch (const Error& error) {
    return error.what();
  }
  return "accepted";
}

}  // namespace

TEST_CASE("plan.json: a plan comes back as it was written") {
  const Plan plan = small_plan();
  const Json json = to_json(plan);
  const Plan back = plan_from_json(Json::parse(json.dump()));
  CHECK(to_json(back) == json);
  CHECK(back.slots == plan.slots);
  CHECK(back.groups == plan.groups);
  CHECK(back.removal_sets.at(plan.group_removals[1]).items == std::vector<std::uint32_t>{1, 3, 4294967295U});
  CHECK(back.queries[1].true_group == "0");
  CHECK(back.queries[1].seed == 1);
  CHECK(back.blocks[1].first == 1);
  CHECK(back.numerics.isa == "avx2");
  CHECK(back.jobs[1].placements[1].method == "logo");
  CHECK(back.jobs[1].placements[1].slot == 1);
  CHECK(back.jobs[1].inputs == std::vector<Digest>{plan.jobs[0].digest});
  CHECK(back.jobs[1].cost == 0.125);
  CHECK(back.jobs[0].label == "train full (seed 0)");
  CHECK(back.digest == plan.digest);
  CHECK(back.dataset == plan.dataset);
}

TEST_CASE("plan.json: long tables name their columns once") {
  Plan plan = small_plan();
  plan.queries.assign(1000, plan.queries[0]);
  const std::string text = to_json(plan).dump();
  std::size_t mentions = 0;
  for (std::size_t at = text.find("true_group"); at != std::string::npos; at = text.find("true_group", at + 1))
    ++mentions;
  CHECK(mentions == 1);
}

TEST_CASE("plan.json: what does not fit is refused where it stands") {
  Json json = to_json(small_plan());
  CHECK(refusal(Json::parse("3")) == "plan: wants an object");
  Json bad = json;
  bad["format"] = 1;
  CHECK(refusal(bad) == "plan.format: is 1, this guda reads 2: plan again with `guda run`");
  bad = json;
  bad.erase("slots");
  CHECK(refusal(bad) == "plan.slots: the key is missing");
  bad = json;
  bad["queries"]["rows"][1].push_back(1);
  CHECK(refusal(bad) == R"(plan.queries[1]: wants a row of ["name","set","seed","true_group","role"])");
  bad = json;
  bad["slots"]["columns"] = {"draw", "timestep", "weight"};
  CHECK(refusal(bad) == R"(plan.slots: wants a table with columns ["timestep","draw","weight"])");
  bad = json;
  bad["jobs"][1]["work"]["first"] = -2;
  CHECK(refusal(bad) == "plan.jobs[1].work: first: wants a non-negative integer, not -2");
  bad = json;
  bad["jobs"][1]["placements"][0][1] = "0";
  CHECK(refusal(bad) == "plan.jobs[1].placements[0].group: wants a non-negative integer, not \"0\"");
  bad = json;
  bad["experiment"]["training"].erase("steps");
  CHECK(refusal(bad) == "plan.experiment.training.steps: the key is missing");
}
