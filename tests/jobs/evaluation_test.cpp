#include "jobs/evaluation.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <set>

#include "common/error.hpp"
#include "jobs/planner.hpp"
#include "tests/support/fake_plan.hpp"

namespace guda::jobs {
namespace {

Plan plan_of(const Experiment& experiment) { return make_plan(experiment, load_dataset(experiment.dataset), {}); }

std::vector<const JobSpec*> starting_with(const Plan& plan, const std::string& label) {
  std::vector<const JobSpec*> found;
  for (const JobSpec& job : plan.jobs) {
    if (job.label.starts_with(label)) found.push_back(&job);
  }
  return found;
}

Experiment with_trak(std::uint32_t keep) {
  Experiment experiment = test::small_plan().experiment;
  QuerySetConfig generated;
  generated.count = 4;
  experiment.queries = {generated};
  MethodConfig trak;
  trak.name = trak.method = "trak";
  trak.gradients.keep_instances = keep;
  experiment.methods.push_back(trak);
  return experiment;
}

}  // namespace

TEST_CASE("subsets of groups are a function of the seed, never empty and never all") {
  const auto drawn = removed_groups({.count = 20, .share = 0.5, .seed = 3}, 10);
  REQUIRE(drawn.size() == 20);
  for (const auto& groups : drawn) {
    CHECK(groups.size() == 5);
    CHECK(std::set<std::uint32_t>(groups.begin(), groups.end()).size() == 5);
    CHECK(groups.back() < 10);
  }
  CHECK(drawn == removed_groups({.count = 20, .share = 0.5, .seed = 3}, 10));
  CHECK(drawn != removed_groups({.count = 20, .share = 0.5, .seed = 4}, 10));
  CHECK(removed_groups({.count = 1, .share = 0.001, .seed = 0}, 4)[0].size() == 1);
  CHECK(removed_groups({.count = 1, .share = 0.999, .seed = 0}, 4)[0].size() == 3);
}

TEST_CASE("planner: a subset model is trained without the items of all its groups and scored on the oracle's draws") {
  Experiment experiment = test::small_plan().experiment;
  const std::size_t before = plan_of(experiment).jobs.size();
  experiment.evaluation.subsets = {.count = 3, .share = 0.2, .seed = 1};
  const Plan plan = plan_of(experiment);
  const auto removed = removed_groups(experiment.evaluation.subsets, static_cast<std::uint32_t>(plan.groups.size()));
  CHECK(plan.jobs.size() == before + 3 + 3 * plan.blocks.size());
  const auto scores = starting_with(plan, "score subset__001");
  REQUIRE(scores.size() == plan.blocks.size());
  const auto& score = std::get<ScoreSpec>(scores[0]->work);
  CHECK(std::all_of(score.slots.begin(), score.slots.end(),
                    [&](const Slot& s) { return s.draw < experiment.scoring.draws; }));
  const auto weights =
      std::find_if(plan.jobs.begin(), plan.jobs.end(), [&](const JobSpec& job) { return job.digest == score.weights; });
  REQUIRE(weights != plan.jobs.end());
  const auto& train = std::get<TrainSpec>(weights->work);
  std::size_t items = 0;
  for (const std::uint32_t group : removed[1]) items += plan.removal_sets.at(plan.group_removals[group]).items.size();
  CHECK(plan.removal_sets.at(train.removal).items.size() == items);
  // The streams are those of the full model, so that nothing but the removal differs.
  CHECK(train.seed == std::get<TrainSpec>(starting_with(plan, "train full")[0]->work).seed);
}

TEST_CASE("planner: a removal retrains without what a method keeps, and draws the queries again from the same noise") {
  Experiment experiment = with_trak(5);
  experiment.evaluation.removal = {.items = 4, .queries = 3};
  const Plan plan = plan_of(experiment);
  const auto again = starting_with(plan, "draw generated again without trak");
  REQUIRE(again.size() == 1);
  const auto& drawn = std::get<SampleSpec>(again[0]->work);
  const auto& original = std::get<SampleSpec>(starting_with(plan, "sample generated")[0]->work);
  CHECK(drawn.names == original.names);
  CHECK(drawn.seed == original.seed);
  CHECK(drawn.from != original.from);
  CHECK_FALSE(makes_queries(drawn));
  const auto trained = starting_with(plan, "train without the top of trak");
  REQUIRE(trained.size() == 1);
  const auto& top = std::get<TrainSpec>(trained[0]->work).top;
  CHECK(top.items == 4);
  CHECK(top.queries == 3);
  CHECK(trained[0]->inputs == std::vector<Digest>{top.from});
  CHECK(top.from == starting_with(plan, "attribute trak on generated")[0]->digest);
  const auto control = starting_with(plan, "train without 12 random items");
  REQUIRE(control.size() == 1);
  CHECK(plan.removal_sets.at(std::get<TrainSpec>(control[0]->work).removal).items.size() == 12);
}

TEST_CASE("planner: a mirrored method's removal takes what its first block of queries keeps") {
  Experiment experiment = with_trak(5);
  experiment.methods.push_back({.name = "mucs", .method = "mucs", .mucs = {.keep_instances = 5}});
  experiment.evaluation.removal = {.items = 4, .queries = 3};
  const Plan plan = plan_of(experiment);
  const auto trained = starting_with(plan, "train without the top of mucs");
  REQUIRE(trained.size() == 1);
  const auto& top = std::get<TrainSpec>(trained[0]->work).top;
  const auto from =
      std::find_if(plan.jobs.begin(), plan.jobs.end(), [&](const JobSpec& job) { return job.digest == top.from; });
  REQUIRE(from != plan.jobs.end());
  const auto& mirror = std::get<MirrorSpec>(from->work);
  CHECK(mirror.first == 0);
  CHECK(mirror.count >= top.queries);
  CHECK(mirror.queries == starting_with(plan, "sample generated")[0]->digest);
}

TEST_CASE("planner: with an encoder the queries and what was drawn again have features, block by block") {
  Experiment experiment = with_trak(5);
  experiment.evaluation.removal = {.items = 4, .queries = 3, .encoder = "/nowhere"};
  CHECK_THROWS_WITH_AS((void)plan_of(experiment), doctest::Contains("--set evaluation.removal.encoder=FOLDER"), Error);
  const Dataset dataset = load_dataset(experiment.dataset);
  const Plan plan = make_plan(experiment, dataset, {}, /*weights_may_be_missing=*/true);
  std::map<Digest, std::uint32_t> images;  // by the job that drew them
  for (const JobSpec* job : starting_with(plan, "clip of generated")) {
    const auto& features = std::get<FeaturesSpec>(job->work);
    CHECK(features.encoder == "/nowhere");
    CHECK(job->inputs == std::vector<Digest>{features.queries});
    images[features.queries] += features.count;
  }
  const std::uint32_t count = experiment.queries.front().count;
  std::map<Digest, std::uint32_t> wanted{{starting_with(plan, "sample generated")[0]->digest, count}};
  for (const JobSpec* job : starting_with(plan, "draw generated again")) wanted[job->digest] = count;
  CHECK(wanted.size() == 3);
  CHECK(images == wanted);
}

TEST_CASE("planner: an evaluation changes no job that was there before it") {
  Experiment experiment = with_trak(5);
  std::set<std::string> before;
  for (const JobSpec& job : plan_of(experiment).jobs) before.insert(job.digest.hex);
  experiment.evaluation.removal = {.items = 4, .queries = 3};
  experiment.evaluation.subsets.count = 2;
  for (const JobSpec& job : plan_of(experiment).jobs) before.erase(job.digest.hex);
  CHECK(before.empty());
}

TEST_CASE("planner: training images as queries are the first of the split, with their class") {
  Experiment experiment = test::small_plan().experiment;
  QuerySetConfig set;
  set.name = set.kind = "training";
  set.count = 4;
  set.first = 2;
  experiment.queries.push_back(set);
  const Plan plan = plan_of(experiment);
  const Dataset dataset = load_dataset(experiment.dataset);
  const auto first = std::find_if(plan.queries.begin(), plan.queries.end(),
                                  [](const Query& query) { return query.set == "training"; });
  REQUIRE(plan.queries.end() - first == 4);
  CHECK(first->true_group == dataset.class_names[dataset.labels[dataset.train[2]]]);
}

}  // namespace guda::jobs
