// The recipes for Stable Diffusion 1.5 on UnlearnCanvas: the published protocol, planned without pictures and weights,
// and over a few pictures of the same layout.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>
#include <string>

#include "common/config/issues.hpp"
#include "common/error.hpp"
#include "common/files.hpp"
#include "jobs/dataset.hpp"
#include "jobs/experiment_file.hpp"
#include "jobs/memory.hpp"
#include "jobs/pipeline_folder.hpp"
#include "jobs/planner.hpp"
#include "orchestrator/estimate.hpp"
#include "tests/support/scratch_folder.hpp"
#include "tests/support/small_pictures.hpp"

using namespace guda;
using namespace guda::jobs;

namespace {

const std::filesystem::path kRecipes = std::filesystem::path(GUDA_SOURCE_DIR) / "jobs/recipes";
const Numerics kGpu{"cuda", "avx2", "float32", 1, 8};

Experiment without_data(const std::string& name, std::vector<std::string> more = {}) {
  more.insert(more.end(), {"dataset.path=/nowhere", "pipeline.folder=/nowhere"});
  return load_experiment(kRecipes / name, more, /*data_may_be_missing=*/true);
}

Plan planned(const Experiment& e) {
  return make_plan(e, published_dataset(e.dataset), kGpu, /*weights_may_be_missing=*/true);
}

std::map<std::string, int> kinds(const Plan& plan) {
  std::map<std::string, int> count;
  for (const JobSpec& job : plan.jobs) ++count[kind_of(job.work)];
  return count;
}

}  // namespace

TEST_CASE("recipes: sd15-unlearncanvas is the published protocol (methods.md 2)") {
  const Experiment e = without_data("sd15-unlearncanvas.yaml");
  CHECK(e.training.steps == 10000);
  CHECK(e.training.batch == 80);
  CHECK(e.training.optimizer.lr == 1e-6);
  CHECK(e.training.ema_max_decay == 0.9999);
  CHECK(e.queries[0].count == 320);
  CHECK(e.queries[0].sampler.kind == "dpmsolver++");
  CHECK(e.queries[0].sampler.guidance == 7.5);
  CHECK(unet2d_parameters(e.model) == 859'520'964);
  CHECK(e.model.at("sample_size") == 64);
  std::set<std::string> anchors;
  for (const MethodConfig& m : e.methods) {
    if (m.method != "guda" || m.unlearn.op != "guda_c") continue;
    CHECK(m.unlearn.steps == 2000);
    CHECK(m.unlearn.optimizer.lr == 2e-6);
    CHECK(m.unlearn.forget_weight == 0.5);
    anchors.insert(m.unlearn.anchor.mode);
  }
  CHECK(anchors.size() == 4);
}

TEST_CASE(
    "recipes: sd15-unlearncanvas is planned without pictures and weights: 24,000 pictures, 16 of 60 styles asked") {
  const Plan plan = planned(without_data("sd15-unlearncanvas.yaml"));
  CHECK(plan.groups.size() == 16);
  CHECK(plan.groups.back() == "Defoliation");
  for (const Digest& removal : plan.group_removals) CHECK(plan.removal_sets.at(removal).items.size() == 400);
  CHECK(plan.queries.size() == 320);
  CHECK(plan.slots.size() == 2 * 99);
  auto count = kinds(plan);
  CHECK(count["train"] == 1 + 16);
  CHECK(count["unlearn"] == 5 * 16);
  CHECK(count["component"] == 3);
  std::uint32_t encoded = 0;
  for (const JobSpec& job : plan.jobs) {
    const auto* features = std::get_if<FeaturesSpec>(&job.work);
    if (features != nullptr && features->kind == "latents" && features->flip) encoded += features->count;
  }
  CHECK(encoded == 24'000);  // in shards
}

TEST_CASE("recipes: sd15-unlearncanvas-60styles asks about all styles by all 1,200 prompts") {
  const Plan plan = planned(without_data("sd15-unlearncanvas-60styles.yaml"));
  CHECK(plan.groups.size() == 60);
  CHECK(plan.queries.size() == 1200);
  auto count = kinds(plan);
  CHECK(count["train"] == 61);
  CHECK(count["unlearn"] == 2 * 60);
  for (const Query& query : plan.queries) CHECK_FALSE(query.true_group.empty());
}

TEST_CASE("recipes: the plan of sd15-unlearncanvas knows the memory of every job and prices it for 1 to 64 GPUs") {
  const Plan plan = planned(without_data("sd15-unlearncanvas.yaml"));
  const FrozenParts parts = frozen_parts(plan.experiment);
  double training = 0, most = 0;
  for (const JobSpec& job : plan.jobs) {
    const double memory = job_memory(job, plan.experiment, parts);
    most = std::max(most, memory);
    const bool copies =
        std::holds_alternative<ComponentSpec>(job.work) || std::holds_alternative<AttributeSpec>(job.work);
    CAPTURE(job.label);
    CHECK((memory > 0.4e9) == !copies);  // nothing smaller than the text encoder computes on the GPU
    if (std::holds_alternative<TrainSpec>(job.work)) training = memory;
  }
  CHECK(training > 5 * 4 * 859'520'964.0);  // weights, gradient, two moments, EMA, and activations
  CHECK(most < 200e9);
  double one = 0, last = 0;
  for (const std::uint32_t gpus : {1U, 8U, 64U}) {
    orchestrator::EstimateOptions how;
    how.workers = gpus;
    how.workers_per_node = std::min(8U, gpus);
    how.parts = parts;
    const auto e = orchestrator::estimate(plan, std::vector<bool>(plan.jobs.size(), false),
                                          CostPredictor(nullptr, plan.experiment.model, "cuda unknown GPU"), how);
    CHECK(e.fits);
    CHECK(e.memory == most);
    CHECK(e.disk_peak > 97 * 3.4e9);
    if (gpus == 1) one = e.wall_seconds.p50;
    else CHECK(e.wall_seconds.p50 < last);
    last = e.wall_seconds.p50;
  }
  CHECK(last < one / 10);
}

TEST_CASE("recipes: a smaller side is the size of latents in every cost") {
  const Experiment small = without_data("sd15-unlearncanvas.yaml", {"dataset.side=256"});
  CHECK(small.model.at("sample_size") == 32);
  CHECK(unet2d_macs(small.model) < 0.27 * unet2d_macs(without_data("sd15-unlearncanvas.yaml").model));
}

TEST_CASE(
    "recipes: sd15-unlearncanvas without its pictures and weights is refused by run, with everything that is missing") {
  try {
    (void)load_experiment(kRecipes / "sd15-unlearncanvas.yaml", {"dataset.path=/nowhere", "pipeline.folder=/none"});
    FAIL("accepted");
  } catch (const config::ConfigError& error) {
    const std::string all = error.what();
    for (const char* what :
         {"dataset.path: there is no /nowhere; --set dataset.path=FOLDER", "pipeline.folder: there is no /none",
          "dataset.descriptors: there is no file", "queries.generated.prompt_file: there is no file"}) {
      CAPTURE(all);
      CHECK(all.find(what) != std::string::npos);
    }
  }
}

TEST_CASE("recipes: sd15-unlearncanvas over pictures of its layout asks under the prompts of the file") {
  const test::ScratchFolder folder;
  const test::OwnPictureCache cache(folder / ".cache");
  test::write_canvas(folder.path());
  const std::string root = folder.path().string();
  const std::vector<std::string> settings{"dataset.path=" + root,
                                          "dataset.descriptors=" + root + "/descriptors.json",
                                          "queries.generated.prompt_file=" + root + "/eval.jsonl",
                                          "queries.generated.count=12",
                                          "training.batch=8",
                                          "pipeline.folder=/nowhere",
                                          "groups.only=[Cubism, Artist_Sketch]"};
  const Experiment e = load_experiment(kRecipes / "sd15-unlearncanvas.yaml", settings, true);
  const Dataset data = load_dataset(e.dataset);
  const Plan plan = make_plan(e, data, kGpu, true);
  CHECK(plan.groups == std::vector<std::string>{"Cubism", "Artist Sketch"});
  REQUIRE(plan.queries.size() == 12);
  CHECK(plan.queries[0].true_group == "Artist Sketch");
  CHECK(plan.queries[2].true_group == "Cubism");
  CHECK(plan.queries[4].true_group.empty());  // Monet is no group
  std::vector<std::string> prompts;
  for (const JobSpec& job : plan.jobs) {
    const auto* sample = std::get_if<SampleSpec>(&job.work);
    if (sample != nullptr && sample->set.name == "generated") prompts = sample->prompts;
  }
  REQUIRE(prompts.size() == 12);
  CHECK(prompts[0] == "An artwork of Cats, with Artist_Sketch two, shared strokes, Artist_Sketch one");
  CHECK(prompts[6] == prompts[0]);  // six lines in turn

  // The same plan wherever the prompts lie.
  replace_file(folder / "moved.jsonl", read_file(folder / "eval.jsonl"), false);
  auto moved = settings;
  moved[2] = "queries.generated.prompt_file=" + root + "/moved.jsonl";
  CHECK(make_plan(load_experiment(kRecipes / "sd15-unlearncanvas.yaml", moved, true), data, kGpu, true).digest ==
        plan.digest);

  const auto refuses = [&](const std::string& line, const char* why) {
    replace_file(folder / "eval.jsonl", read_file(folder / "moved.jsonl") + line + "\n", false);
    CHECK_THROWS_WITH_AS((void)make_plan(e, data, kGpu, true), doctest::Contains(why), Error);
  };
  refuses(R"({"style": "Dadaism", "prompt": "An artwork of Cats, with loud"})",
          "eval.jsonl:7: the style 'Dadaism' has no images in the data set");
  refuses(R"({"style": "Monet", "prompt": "An artwork of Cats"})",
          "eval.jsonl:7: the prompt 'An artwork of Cats' has no style part");
  refuses(R"({"style": "Monet"})", "eval.jsonl:7: the key 'prompt' is missing");
}

TEST_CASE("pictures without versions or descriptors: anchors that need them are refused with the key") {
  const test::ScratchFolder folder;
  const test::OwnPictureCache cache(folder / ".cache");
  test::write_canvas(folder.path());
  const std::string root = folder.path().string();
  std::string lines;
  for (const char* style : {"Cubism", "Monet"}) {
    for (const char* id : {"1", "2", "3"})
      lines +=
          Json{{"file", std::string(style) + "/Sea/" + id + ".jpg"}, {"prompt", "the sea"}, {"style", style}}.dump() +
          "\n";
  }
  replace_file(folder / "prompts.jsonl", lines, false);
  const auto plan_with = [&](const std::string& anchor) {
    const Experiment e = read_experiment(
        "dataset: {kind: image_folder, path: " + root + ", prompts: " + root + "/prompts.jsonl, side: 16, train: 0}\n" +
            "pipeline: {text_encoder: {hidden_size: 16, heads: 2}}\n"
            "model: {_class_name: UNet2DConditionModel, sample_size: 16, in_channels: 3, out_channels: 3, "
            "down_block_types: [CrossAttnDownBlock2D], up_block_types: [CrossAttnUpBlock2D], block_out_channels: [8], "
            "norm_num_groups: 4, cross_attention_dim: 16}\n"
            "training: {batch: 2}\nqueries: [{kind: generated, count: 2, prompts: [the sea]}]\n"
            "methods: [{method: logo}, {method: guda, unlearn: {op: guda_c, retain_batch: 1, forget_batch: 1, "
            "anchor: " +
            anchor + "}}]\n",
        "exp.yaml");
    return make_plan(e, load_dataset(e.dataset), {"cpu", "avx2", "float32", 1});
  };
  CHECK_THROWS_WITH_AS((void)plan_with("{mode: matched_retain}"), doctest::Contains("prompts say by 'source'"), Error);
  for (const char* mode : {"weighted_style_select", "uniform", "style_removed"})
    CHECK_THROWS_WITH_AS((void)plan_with(std::string("{mode: ") + mode + "}"),
                         doctest::Contains("dataset.descriptors lists the words"), Error);
}

TEST_CASE("pictures without a pipeline's folder: models begin with random weights") {
  const test::ScratchFolder folder;
  const test::OwnPictureCache cache(folder / ".cache");
  test::write_canvas(folder.path());
  const std::string root = folder.path().string();
  const Experiment e = read_experiment(
      "dataset: {kind: unlearncanvas, path: " + root + ", descriptors: " + root +
          "/descriptors.json, side: 16, train: 18}\n" +
          "pipeline: {text_encoder: {hidden_size: 16, heads: 2}, autoencoder: {block_out_channels: [8, 8], training: "
          "{batch: 4}}}\n"
          "model: {_class_name: UNet2DConditionModel, sample_size: 8, down_block_types: [CrossAttnDownBlock2D], "
          "up_block_types: [CrossAttnUpBlock2D], block_out_channels: [8], norm_num_groups: 4, cross_attention_dim: "
          "16}\n"
          "training: {batch: 4}\nqueries: [{kind: held_out}]\nmethods: [{method: logo}, {method: random}]\n",
      "exp.yaml");
  const Plan plan = make_plan(e, load_dataset(e.dataset), {"cpu", "avx2", "float32", 1});
  std::size_t trained = 0;
  for (const JobSpec& job : plan.jobs) {
    const auto* train = std::get_if<TrainSpec>(&job.work);
    if (train == nullptr || job.label == "train autoencoder") continue;
    CHECK(train->from.empty());
    CHECK_FALSE(train->conditioning.latents.empty());
    for (const Digest& input : job.inputs) CHECK_FALSE(input.empty());
    ++trained;
  }
  CHECK(trained == 4);
}
