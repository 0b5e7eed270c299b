// Text-to-image experiments as plans.
#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <set>

#include "common/error.hpp"
#include "jobs/cost.hpp"
#include "jobs/experiment_file.hpp"
#include "jobs/methods/methods.hpp"
#include "jobs/operators.hpp"
#include "jobs/planner.hpp"
#include "jobs/text_tokens.hpp"
#include "jobs/unet_config.hpp"
#include "tests/support/fake_plan.hpp"
#include "tests/support/scratch_folder.hpp"

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

TEST_CASE(
    "text-to-image plan: gradient and mirror jobs read the latents, captions and prompts that their models are told") {
  const Plan plan =
      plan_of({"methods.pixels={name: pixels, method: trak}", "methods.random={method: abu, ascent: {flip: true}}"});
  std::size_t items = 0, queries = 0, mirrors = 0;
  for (const JobSpec& job : plan.jobs) {
    const auto reads = [&](const Conditioning& conditioning) {
      for (const Digest& input : inputs_of(conditioning))
        CHECK(std::count(job.inputs.begin(), job.inputs.end(), input) == 1);
    };
    if (const auto* features = std::get_if<FeaturesSpec>(&job.work)) {
      const Conditioning& c = features->conditioning;
      reads(c);
      if (features->kind != "gradients" && features->kind != "fisher") {
        CHECK(c.empty());
      } else if (features->queries.empty()) {
        ++items;
        CHECK((!c.latents.empty() && !c.texts.empty() && c.autoencoder.empty()));
      } else {
        ++queries;
        CHECK((c.latents.empty() && !c.texts.empty() && !c.autoencoder.empty()));
      }
    }
    if (const auto* mirror = std::get_if<MirrorSpec>(&job.work)) {
      ++mirrors;
      reads(mirror->conditioning);
      CHECK((!mirror->conditioning.latents.empty() && !mirror->conditioning.autoencoder.empty()));
      const auto at = std::find_if(plan.jobs.begin(), plan.jobs.end(),
                                   [&](const auto& j) { return j.digest == mirror->conditioning.latents.front(); });
      CHECK(std::get<FeaturesSpec>(at->work).flip);
    }
  }
  CHECK(items == 2 * 47);  // 12,000 in blocks of 256: trak's and the Fisher diagonal's
  CHECK(queries == 2);
  CHECK(mirrors == 2);
}

TEST_CASE("text-to-image plan: the kernel density is one of latents, and of pixels without an autoencoder") {
  const auto features = [](const std::vector<std::string>& overrides) {
    const Plan plan = plan_of(overrides);
    return std::get<AttributeSpec>(labelled(plan, "attribute density").work).item_features.size();
  };
  const std::string density = "methods.pixels={name: density, method: kde_elbo}";
  CHECK(features({density}) > 0);
  CHECK(features({density, "pipeline.autoencoder={}", "model.sample_size=16", "model.in_channels=1",
                  "model.out_channels=1", "methods.latents={name: latents, method: similarity}"}) == 0);
}

TEST_CASE("text-to-image plan: every operator and method can be planned, and esd_class needs no guide") {
  const std::filesystem::path recipe = kRecipe.parent_path() / "styles-methods.yaml";
  const Plan plan = make_plan(load_experiment(recipe), data(), kNumerics);
  std::set<std::string> operators_used, methods_used;
  for (const MethodConfig& m : plan.experiment.methods) {
    methods_used.insert(m.method);
    if (m.method == "guda") operators_used.insert(m.unlearn.op);
  }
  CHECK(operators_used.size() == operators().size());
  CHECK(methods_used.size() == methods().size() - 1);  // pixel_cosine is similarity of pixels
  for (const JobSpec* job : all<UnlearnSpec>(plan)) CHECK(std::get<UnlearnSpec>(job->work).guide.empty());
}

TEST_CASE("text-to-image plan: shared stages are jobs of styles.yaml, so that its run can be reused") {
  const std::filesystem::path recipe = kRecipe.parent_path() / "styles-methods.yaml";
  std::set<Digest> trained;
  const Plan styles = plan_of();
  for (const JobSpec* job : all<TrainSpec>(styles)) trained.insert(job->digest);
  const Plan plan = make_plan(load_experiment(recipe), data(), kNumerics);
  for (const JobSpec* job : all<TrainSpec>(plan)) CHECK(trained.contains(job->digest));
}

TEST_CASE("text-to-image plan: longer texts cost more, by the cross-attention that they lengthen") {
  const auto cost = [](const char* tokens) {
    return labelled(plan_of({std::string("pipeline.text_encoder.tokens=") + tokens}), "train full").cost;
  };
  const Experiment e = load_experiment(kRecipe);
  const double images = double(e.training.steps) * e.training.batch;
  CHECK(cost("24") == doctest::Approx(training_seconds(e.model, images, 24)));
  CHECK(cost("77") == doctest::Approx(training_seconds(e.model, images)));
  CHECK(cost("77") > 1.05 * cost("24"));
}

TEST_CASE("text-to-image plan: a pipeline's own configs say how long its texts are") {
  const test::ScratchFolder scratch;
  PipelineConfig pipeline;
  pipeline.folder = scratch.path();
  CHECK(text_tokens(pipeline) == 77);  // nothing says otherwise
  for (const char* part : {"tokenizer", "text_encoder"}) std::filesystem::create_directory(scratch.path() / part);
  std::ofstream(scratch.path() / "text_encoder" / "config.json") << R"({"max_position_embeddings": 64})";
  CHECK(text_tokens(pipeline) == 64);
  std::ofstream(scratch.path() / "tokenizer" / "tokenizer_config.json") << R"({"model_max_length": 40})";
  CHECK(text_tokens(pipeline) == 40);
  std::ofstream(scratch.path() / "tokenizer" / "tokenizer_config.json") << R"({"model_max_length": 1e30})";
  CHECK(text_tokens(pipeline) == 64);  // transformers' way to say that there is no limit
}

TEST_CASE(
    "plan: GUARD's weights are paid for: ten gradients per sampled retained image, twenty forwards per forget image") {
  const auto cost = [](const std::string& temperature) {
    return labelled(plan_of({"methods.guda_c.unlearn.guard_temperature=" + temperature}), "unlearn guda_c").cost;
  };
  const Experiment e = load_experiment(kRecipe);
  const double tokens = e.pipeline.text_encoder.tokens;
  CHECK(cost("1") - cost("0") ==
        doctest::Approx(training_seconds(e.model, 10 * 1024, tokens) + forward_seconds(e.model, 20 * 1500, tokens)));
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

TEST_CASE(
    "text-to-image plan: what is trained of a model is in its job's digest, label and cost, checkpointing is not") {
  const Plan plan = plan_of(), lora = plan_of({"training.parameters={kind: lora, rank: 4}"}),
             attention = plan_of({"methods.guda_c.unlearn.parameters={kind: attention}"}),
             all = plan_of({"training.parameters={kind: all}"}),
             again = plan_of({"resources.gradient_checkpointing=true"});
  const JobSpec &whole = labelled(plan, "train full (seed 0)"), &pairs = labelled(lora, "train full (seed 0, lora 4)");
  CHECK(whole.digest != pairs.digest);
  CHECK(pairs.cost < 0.75 * whole.cost);
  CHECK(labelled(lora, "train base").digest == labelled(plan, "train base").digest);
  CHECK(labelled(attention, "train full (seed 0)").digest == whole.digest);
  CHECK(labelled(attention, "unlearn guda_c -blur (seed 0, attention)").cost <
        labelled(plan, "unlearn guda_c -blur (seed 0)").cost);
  CHECK(labelled(all, "train full (seed 0)").digest == whole.digest);
  CHECK(labelled(again, "train full (seed 0)").digest == whole.digest);
  CHECK(labelled(again, "train full (seed 0)").cost == doctest::Approx(4.0 / 3 * whole.cost));
}

TEST_CASE("text-to-image plan: a pipeline's folder brings its parts, and a missing one is named") {
  const std::vector<std::string> folder{"pipeline={folder: /nowhere}"};
  CHECK_THROWS_WITH_AS((void)plan_of(folder), doctest::Contains("pipeline.folder: there is no /nowhere"), Error);
  const Plan plan =
      make_plan(load_experiment(kRecipe, folder, true), data(), kNumerics, /*weights_may_be_missing=*/true);
  std::set<std::string> parts;
  for (const JobSpec* job : all<ComponentSpec>(plan)) parts.insert(std::get<ComponentSpec>(job->work).part);
  CHECK(parts == std::set<std::string>{"text_encoder", "unet", "vae"});
}

}  // namespace guda::jobs
