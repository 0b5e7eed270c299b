// Text-to-image experiments as plans.
#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <set>

#include "common/error.hpp"
#include "jobs/experiment_file.hpp"
#include "jobs/planner.hpp"
#include "jobs/unet_config.hpp"
#include "tests/support/fake_plan.hpp"

namespace guda::jobs {
namespace {

using test::labelled;

const std::filesystem::path kRecipe = std::filesystem::path(GUDA_SOURCE_DIR) / "jobs/recipes/styles.yaml";
const Numerics kNumerics{"cpu", "avx2", "float32", 1};

const Dataset& data() {
  static const Dataset data = load_dataset(load_experiment(kRecipe).dataset);
  return data;
}

Plan plan_of(const std::vector<std::string>& overrides = {}) {
  return make_plan(load_experiment(kRecipe, overrides), data(), kNumerics);
}

template <class Spec>
std::vector<const JobSpec*> all(const Plan& plan) {
  std::vector<const JobSpec*> jobs;
  for (const JobSpec& job : plan.jobs) {
    if (std::holds_alternative<Spec>(job.work)) jobs.push_back(&job);
  }
  return jobs;
}

}  // namespace

TEST_CASE("text-to-image plan: every model starts from one base, which starts from the autoencoder's latents") {
  const Plan plan = plan_of();
  const JobSpec& base = labelled(plan, "train base");
  const JobSpec& autoencoder = labelled(plan, "train autoencoder");
  std::size_t fine_tuned = 0;
  for (const JobSpec* job : all<TrainSpec>(plan)) {
    if (job == &base || job == &autoencoder) continue;
    const auto& spec = std::get<TrainSpec>(job->work);
    CHECK(spec.from == base.digest);
    CHECK_FALSE(spec.base);
    CHECK_FALSE(spec.conditioning.latents.empty());
    CHECK_FALSE(spec.conditioning.texts.empty());
    CHECK(std::count(job->inputs.begin(), job->inputs.end(), base.digest) == 1);
    ++fine_tuned;
  }
  CHECK(fine_tuned == 2 * 9);  // full and eight LOGO models, of two seeds
  for (const Digest& latents : std::get<TrainSpec>(base.work).conditioning.latents) {
    const auto at =
        std::find_if(plan.jobs.begin(), plan.jobs.end(), [&](const auto& j) { return j.digest == latents; });
    CHECK(std::get<FeaturesSpec>(at->work).weights == autoencoder.digest);
    CHECK(std::get<FeaturesSpec>(at->work).base);
  }
}

TEST_CASE("text-to-image plan: inputs precede their users, and name what a job reads") {
  const Plan plan = plan_of();
  std::set<Digest> seen;
  for (const JobSpec& job : plan.jobs) {
    for (const Digest& input : job.inputs) CHECK(seen.contains(input));
    seen.insert(job.digest);
  }
}

TEST_CASE("text-to-image plan: every caption, prompt and anchor is embedded once") {
  const Plan plan = plan_of();
  std::set<std::string> captions;
  for (const JobSpec* job : all<FeaturesSpec>(plan)) {
    const auto& spec = std::get<FeaturesSpec>(job->work);
    if (!job->label.starts_with("embed captions")) continue;
    for (const std::string& text : spec.texts) CHECK(captions.insert(text).second);
  }
  for (const std::uint32_t item : data().train) CHECK(captions.contains(data().captions[item]));
  CHECK(captions.contains(""));
}

TEST_CASE("text-to-image plan: generated queries have prompts and the style that they ask for; real ones their own") {
  const Plan plan = plan_of();
  for (const JobSpec* job : all<SampleSpec>(plan)) {
    const auto& spec = std::get<SampleSpec>(job->work);
    CHECK(spec.prompts.size() == spec.names.size());
  }
  std::map<std::string, int> styles;
  for (const Query& query : plan.queries) {
    if (query.set == "generated") ++styles[query.true_group];
  }
  CHECK(styles.size() == 8);
  for (const auto& [style, count] : styles) CHECK(count == 50);
}

TEST_CASE("text-to-image plan: a guided query costs two forwards a step") {
  const auto cost = [](const std::string& guidance) {
    return labelled(plan_of({"queries.generated.sampler.guidance=" + guidance}), "sample generated").cost;
  };
  CHECK(cost("4") == doctest::Approx(2 * cost("0")));
}

TEST_CASE("text-to-image plan: another query set leaves every model as it was") {
  const auto models = [](const Plan& plan) {
    std::set<Digest> digests;
    for (const JobSpec* job : all<TrainSpec>(plan)) digests.insert(job->digest);
    for (const JobSpec* job : all<UnlearnSpec>(plan)) digests.insert(job->digest);
    return digests;
  };
  CHECK(models(plan_of()) == models(plan_of({"queries.real.count=8"})));
  CHECK(models(plan_of()) != models(plan_of({"pipeline.caption_dropout=0.2"})));
}

TEST_CASE("text-to-image plan: anchors are embedded for guda_c, single descriptors only where likeness counts") {
  const auto anchors = [](const std::string& mode) {
    std::size_t texts = 0;
    const Plan plan = plan_of({"methods.guda_c.unlearn.anchor={mode: " + mode + "}"});
    for (const JobSpec* job : all<FeaturesSpec>(plan)) {
      if (job->label.starts_with("embed anchors ")) texts += std::get<FeaturesSpec>(job->work).texts.size();
    }
    return texts;
  };
  CHECK(anchors("uniform") == 800);
  CHECK(anchors("weighted_style_select") > 800);
  CHECK(anchors("style_removed") == 10);
  CHECK(anchors("matched_retain") == 0);
}

TEST_CASE("text-to-image plan: a pipeline's folder brings its parts, and a missing one is named") {
  const std::vector<std::string> folder{"pipeline={folder: /nowhere}"};
  CHECK_THROWS_WITH_AS((void)plan_of(folder), doctest::Contains("pipeline.folder: there is no /nowhere/"), Error);
  const Plan plan = make_plan(load_experiment(kRecipe, folder), data(), kNumerics, /*weights_may_be_missing=*/true);
  std::set<std::string> parts;
  for (const JobSpec* job : all<ComponentSpec>(plan)) parts.insert(std::get<ComponentSpec>(job->work).part);
  CHECK(parts == std::set<std::string>{"text_encoder", "unet", "vae"});
}

}  // namespace guda::jobs
