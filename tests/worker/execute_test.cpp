#include "worker/execute.hpp"

#include <doctest/doctest.h>
#include <torch/torch.h>

#include <algorithm>
#include <filesystem>
#include <memory>

#include "common/error.hpp"
#include "common/files.hpp"
#include "tests/support/scratch_folder.hpp"
#include "tests/support/tiny_study.hpp"
#include "worker/diffusion/query_set.hpp"
#include "worker/models/lora.hpp"

using namespace guda;
using namespace guda::worker;

namespace {

namespace fs = std::filesystem;

/// A worker with an artifact folder of its own and two groups to remove.
struct Bench {
  test::ScratchFolder folder;
  jobs::Dataset data = test::tiny_dataset();
  jobs::Plan plan;
  std::vector<fs::path> folders{folder / "artifacts"};
  std::uint64_t progress_calls = 0;
  CheckpointRule rule;
  std::uint64_t stop_at = 0;  ///< hands the job back after this step

  Bench() {
    for (const std::uint32_t label : {0U, 1U}) {
      const Digest digest = digest_of(std::to_string(label));
      plan.groups.push_back(std::to_string(label));
      plan.group_removals.push_back(digest);
      plan.removal_sets[digest] = {"group " + std::to_string(label), test::items_of(data, label)};
    }
    fs::create_directories(folders[0]);
  }
  JobResult run(const std::string& name, jobs::Work work) {
    jobs::JobSpec job;
    job.digest = digest_of(name);
    job.label = name;
    job.work = std::move(work);
    Context context{plan,
                    data,
                    folders,
                    [this](const Progress& p) {
                      ++progress_calls;
                      if (stop_at > 0 && p.step == stop_at) throw Cancelled{};
                    },
                    rule,
                    "bench",
                    {}};
    return execute(job, context);
  }
  [[nodiscard]] fs::path artifact(const std::string& name) const { return folders[0] / digest_of(name).hex; }

  JobResult train(const std::string& name, const Digest& removal = {}) {
    jobs::TrainSpec spec = test::tiny_training(6);
    spec.removal = removal;
    return run(name, spec);
  }
  JobResult unlearn(const std::string& name, const std::string& op) {
    jobs::UnlearnSpec spec;
    spec.from = digest_of("full");
    spec.diffusion = test::tiny_diffusion();
    spec.unlearn.op = op;
    spec.unlearn.steps = 2;
    spec.removal = plan.group_removals[1];
    return run(name, spec);
  }
  JobResult sample(const std::string& name, const std::string& kind) {
    jobs::SampleSpec spec;
    spec.diffusion = test::tiny_diffusion();
    spec.set.kind = kind;
    spec.set.sampler.steps = 3;
    if (kind == "generated") spec.from = digest_of("full");
    for (int i = 0; i < 5; ++i) spec.names.push_back(name + "/" + std::to_string(i));
    return run(name, spec);
  }
  JobResult score(const std::string& weights, const std::string& queries, std::uint32_t first, std::uint32_t count) {
    jobs::ScoreSpec spec;
    spec.weights = digest_of(weights);
    spec.queries = digest_of(queries);
    spec.diffusion = test::tiny_diffusion();
    spec.first = first;
    spec.count = count;
    spec.slots = {{10, 0, 1}, {50, 0, 1}, {90, 1, 1}};
    spec.batch = 8;
    return run("score", spec);
  }
};

}  // namespace

TEST_CASE("execute: a study from training to scores leaves its artifacts and rows") {
  Bench bench;
  const JobResult full = bench.train("full");
  CHECK(bench.progress_calls == 6);
  CHECK(full.rows.rows == 0);
  CHECK(full.metrics.contains("last_loss"));
  CHECK(full.metrics.dump().size() < 1024);
  CHECK(fs::exists(bench.artifact("full") / "diffusion_pytorch_model.safetensors"));
  const Json provenance = Json::parse(read_file(bench.artifact("full") / "guda.json"));
  CHECK(provenance.at("job") == digest_of("full").hex);
  CHECK(provenance.at("kind") == "train");
  CHECK(provenance.at("dataset") == bench.data.content.hex);
  (void)bench.train("logo", bench.plan.group_removals[1]);
  CHECK(digest_of_file(bench.artifact("full") / "diffusion_pytorch_model.safetensors") !=
        digest_of_file(bench.artifact("logo") / "diffusion_pytorch_model.safetensors"));
  (void)bench.unlearn("ifu", "ifu");
  CHECK(Json::parse(read_file(bench.artifact("ifu") / "guda.json")).at("metrics").contains("forget_loss"));
  CHECK(read_file(bench.artifact("ifu") / "config.json") == read_file(bench.artifact("full") / "config.json"));
  (void)bench.sample("generated", "generated");
  (void)bench.sample("real", "held_out");
  CHECK(load_query_set(bench.artifact("generated")).names.size() == 5);
  CHECK(fs::exists(bench.artifact("real") / "sheet.png"));

  const JobResult rows = bench.score("ifu", "generated", 1, 3);
  CHECK(rows.rows.rows == 3);
  CHECK(rows.rows.columns == 3);
  CHECK(rows.rows.losses.size() == 9);
  CHECK(rows.rows.scores.empty());
  CHECK(*std::min_element(rows.rows.losses.begin(), rows.rows.losses.end()) > 0);

  jobs::AttributeSpec control;
  control.method = "knn";
  control.queries = digest_of("real");
  control.groups = bench.plan.group_removals;
  const JobResult scores = bench.run("knn", control);
  CHECK(scores.rows.rows == 5);
  CHECK(scores.rows.columns == 2);
  CHECK(scores.rows.scores.size() == 10);
  CHECK(scores.rows.losses.empty());
}

TEST_CASE(
    "execute: from gradients of the full model to scores of groups, with kept instances, and again after a death") {
  Bench bench;
  (void)bench.train("full");
  (void)bench.sample("real", "held_out");
  jobs::FeaturesSpec features;
  features.kind = "gradients";
  features.weights = digest_of("full");
  features.diffusion = test::tiny_diffusion();
  features.loss = "squared_output";
  features.timesteps = 3;
  features.projection = "sjlt";
  features.dimension = 32;
  jobs::AttributeSpec attribute;
  attribute.method = "dtrak";
  attribute.queries = digest_of("real");
  attribute.groups = bench.plan.group_removals;
  attribute.gradients.keep_instances = 3;
  for (const std::uint32_t first : {0U, 70U}) {
    features.first = first;
    features.count = first == 0 ? 70 : 50;
    const std::string name = "items " + std::to_string(first);
    CHECK(bench.run(name, features).metrics.at("images") == features.count);
    CHECK(bench.run(name, features).metrics.at("already_published") == true);
    attribute.item_features.push_back(digest_of(name));
  }
  features.queries = digest_of("real");
  features.first = 0;
  features.count = 5;
  (void)bench.run("query features", features);
  attribute.query_features = {digest_of("query features")};
  const JobResult kept = bench.run("dtrak", attribute);
  CHECK(kept.rows.rows == 5);
  CHECK(kept.rows.columns == 2);
  REQUIRE(kept.rows.scores.size() == 10);
  const Json instances = Json::parse(read_file(bench.artifact("dtrak") / "instances.json"));
  CHECK(instances.at("items").size() == 5);
  for (const std::uint32_t item : instances.at("items")[0].get<std::vector<std::uint32_t>>())
    CHECK(std::find(bench.data.train.begin(), bench.data.train.end(), item) != bench.data.train.end());
  // Sums by the groups' features and sums of instances are the same scores.
  attribute.gradients.keep_instances = 0;
  const JobResult sums = bench.run("dtrak sums", attribute);
  for (std::size_t i = 0; i < 10; ++i) CHECK(sums.rows.scores[i] == doctest::Approx(kept.rows.scores[i]).epsilon(1e-6));
  CHECK_FALSE(fs::exists(bench.artifact("dtrak sums")));
  attribute.method = "das";
  for (const double score : bench.run("das", attribute).rows.scores) CHECK(score >= 0);
}

TEST_CASE("execute: a query is unlearned along the Fisher diagonal of blocks of training items") {
  Bench bench;
  (void)bench.train("full");
  (void)bench.sample("real", "held_out");
  jobs::FeaturesSpec fisher;
  fisher.kind = "fisher";
  fisher.weights = digest_of("full");
  fisher.diffusion = test::tiny_diffusion();
  fisher.timesteps = 1;
  jobs::MirrorSpec mirror;
  mirror.method = "abu";
  mirror.weights = digest_of("full");
  mirror.diffusion = test::tiny_diffusion();
  mirror.queries = digest_of("real");
  mirror.first = 1;
  mirror.count = 2;
  mirror.groups = bench.plan.group_removals;
  mirror.ascent.draws = 32;
  mirror.ascent.timesteps = 2;
  mirror.ascent.items = 4;
  for (const std::uint32_t first : {0U, 60U}) {
    fisher.first = first;
    fisher.count = 60;
    (void)bench.run("fisher " + std::to_string(first), fisher);
    mirror.fisher.push_back(digest_of("fisher " + std::to_string(first)));
  }
  const JobResult result = bench.run("abu", mirror);
  CHECK(result.rows.rows == 2);
  CHECK(result.rows.columns == 2);
  CHECK(result.rows.scores.size() == 4);
  CHECK(result.metrics.at("sampling_error").get<double>() > 0);
  CHECK(bench.run("abu again", mirror).rows.scores == result.rows.scores);
}

TEST_CASE("execute: the same jobs give the same bytes on another worker, whatever ran before") {
  Bench one, two;
  (void)one.train("full");
  (void)one.unlearn("u", "retrack_exact");
  (void)one.sample("q", "generated");
  (void)two.train("logo", two.plan.group_removals[0]);
  (void)two.train("full");
  (void)two.sample("q", "generated");
  (void)two.unlearn("other", "ifu");
  (void)two.unlearn("u", "retrack_exact");
  for (const char* name : {"full", "u"}) {
    const auto file = fs::path("diffusion_pytorch_model.safetensors");
    CHECK(read_file(one.artifact(name) / file) == read_file(two.artifact(name) / file));
    CHECK(read_file(one.artifact(name) / "guda.json") == read_file(two.artifact(name) / "guda.json"));
  }
  CHECK(read_file(one.artifact("q") / "queries.npy") == read_file(two.artifact("q") / "queries.npy"));
  const auto whole = one.score("u", "q", 0, 5).rows.losses;
  auto parts = two.score("u", "q", 0, 2).rows.losses;
  const auto rest = two.score("u", "q", 2, 3).rows.losses;
  parts.insert(parts.end(), rest.begin(), rest.end());
  CHECK(whole == parts);
}

TEST_CASE("execute: inputs are found in any artifact folder, results go to the first") {
  Bench bench;
  (void)bench.train("full");
  bench.folders.insert(bench.folders.begin(), bench.folder / "second");
  fs::create_directories(bench.folders[0]);
  (void)bench.unlearn("u", "finetune_retain");
  CHECK(fs::exists(bench.folder.path() / "second" / digest_of("u").hex));
}

TEST_CASE("execute: a missing input is an input-output error with its digest, an unknown removal set our bug") {
  Bench bench;
  CHECK_THROWS_WITH_AS((void)bench.unlearn("u", "ifu"), doctest::Contains(digest_of("full").hex.c_str()), IoError);
  CHECK_THROWS_AS((void)bench.train("x", digest_of("nothing")), Bug);
  (void)bench.train("full");
  (void)bench.sample("q", "generated");
  CHECK_THROWS_AS((void)bench.score("full", "q", 3, 3), Bug);
}

TEST_CASE(
    "execute: a job that was handed back publishes nothing, goes on from its checkpoint and leaves the same artifact") {
  Bench whole, pieces;
  (void)whole.train("full");
  (void)whole.unlearn("u", "retrack_exact");
  pieces.stop_at = 4;
  CHECK_THROWS_AS((void)pieces.train("full"), Cancelled);
  CHECK_FALSE(fs::exists(pieces.artifact("full")));
  const fs::path checkpoints = pieces.artifact("full").string() + ".checkpoints";
  CHECK(fs::exists(checkpoints / "step-00000004.safetensors"));
  pieces.stop_at = 0;
  const JobResult full = pieces.train("full");
  CHECK(full.metrics.at("resumed_from_step") == 4);
  CHECK(full.earlier_seconds > 0);
  CHECK(full.metrics.at("seconds") > full.earlier_seconds);
  CHECK_FALSE(fs::exists(checkpoints));
  pieces.stop_at = 1;
  CHECK_THROWS_AS((void)pieces.unlearn("u", "retrack_exact"), Cancelled);
  pieces.stop_at = 0;
  CHECK(pieces.unlearn("u", "retrack_exact").metrics.at("resumed_from_step") == 1);
  for (const char* name : {"full", "u"}) {
    for (const char* file : {"diffusion_pytorch_model.safetensors", "guda.json", "config.json"}) {
      CAPTURE(file);
      CHECK(read_file(whole.artifact(name) / file) == read_file(pieces.artifact(name) / file));
    }
  }
}

TEST_CASE("execute: sampling that was handed back goes on and leaves the same query set, and no checkpoints") {
  Bench whole, pieces;
  for (Bench* bench : {&whole, &pieces}) (void)bench->train("full");
  (void)whole.sample("q", "generated");
  pieces.stop_at = 2;
  CHECK_THROWS_AS((void)pieces.sample("q", "generated"), Cancelled);
  pieces.stop_at = 0;
  CHECK(pieces.sample("q", "generated").metrics.at("resumed_from_step") == 2);
  for (const char* file : {"queries.npy", "queries.json"})
    CHECK(read_file(whole.artifact("q") / file) == read_file(pieces.artifact("q") / file));
  CHECK_FALSE(fs::exists(pieces.artifact("q").string() + ".checkpoints"));
}

TEST_CASE("execute: checkpoints come by themselves while a job runs, and their number and cost are in its metrics") {
  Bench bench;
  bench.rule.every = 1e-9;
  const JobResult result = bench.train("full");
  CHECK(result.metrics.at("checkpoints") == 5);  // six steps; after the last one the artifact follows
  CHECK(result.metrics.at("checkpoint_seconds") > 0);
  CHECK_FALSE(result.metrics.contains("resumed_from_step"));
  CHECK(result.earlier_seconds == 0);
}

TEST_CASE("execute: an artifact that was published by an attempt nobody heard of is taken, not made again") {
  Bench bench;
  const JobResult first = bench.train("full");
  const auto calls = bench.progress_calls;
  const fs::path checkpoints = bench.artifact("full").string() + ".checkpoints";
  fs::create_directories(checkpoints);  // killed between publishing and clearing away
  const JobResult again = bench.train("full");
  CHECK(bench.progress_calls == calls);
  CHECK(again.metrics.at("already_published") == true);
  CHECK(again.metrics.at("last_loss") == first.metrics.at("last_loss"));
  CHECK_FALSE(fs::exists(checkpoints));
  replace_file(bench.artifact("full") / "guda.json", "{}");
  CHECK_THROWS_WITH_AS((void)bench.train("full"), doctest::Contains("is damaged. Cure: remove the folder"), Error);
}

TEST_CASE("execute: every kind of job that computes for long can be handed back") {
  Bench bench;
  (void)bench.train("full");
  (void)bench.sample("q", "generated");
  bench.stop_at = 1;
  CHECK_THROWS_AS((void)bench.sample("r", "generated"), Cancelled);
  CHECK_THROWS_AS((void)bench.score("full", "q", 0, 5), Cancelled);
}

TEST_CASE(
    "execute: a LoRA is published beside the model that it is merged into, trained or unlearned, the same again") {
  Json model = test::tiny_model();
  model["_class_name"] = "UNet2DConditionModel";
  model.erase("add_attention");
  model["down_block_types"] = {"DownBlock2D", "CrossAttnDownBlock2D"};
  model["up_block_types"] = {"CrossAttnUpBlock2D", "UpBlock2D"};
  model["cross_attention_dim"] = 8;  // told nothing, attention is of the pixels to themselves
  model["attention_head_dim"] = 2;
  const auto study = [&](bool checkpointing) {
    auto bench = std::make_unique<Bench>();
    bench->plan.experiment.model = model;
    bench->plan.experiment.resources.gradient_checkpointing = checkpointing;
    jobs::TrainSpec base = test::tiny_training(4);
    base.model = model;
    bench->run("base", base);
    jobs::TrainSpec tuned = base;
    tuned.from = digest_of("base");
    tuned.training.parameters.kind = "lora";
    bench->run("full", tuned);
    for (const char* kind : {"lora", "attention"}) {
      jobs::UnlearnSpec spec;
      spec.from = digest_of("full");
      spec.diffusion = test::tiny_diffusion();
      spec.unlearn.op = "ifu";
      spec.unlearn.steps = 2;
      spec.unlearn.retain_batch = spec.unlearn.forget_batch = 4;
      spec.unlearn.parameters.kind = kind;
      spec.removal = bench->plan.group_removals[1];
      bench->run(kind, spec);
    }
    return bench;
  };
  const auto bench = study(false);
  const auto has_lora = [&](const char* name) { return fs::exists(bench->artifact(name) / kLoraFile); };
  CHECK_FALSE(has_lora("base"));
  CHECK(has_lora("full"));
  CHECK(has_lora("lora"));
  CHECK_FALSE(has_lora("attention"));
  for (const auto& [before, after] : {std::pair{"base", "full"}, {"full", "lora"}}) {
    CAPTURE(after);
    const Denoiser merged = load_denoiser(bench->artifact(before)), published = load_denoiser(bench->artifact(after));
    CHECK_FALSE(test::same_weights(merged, published));
    merge_lora(merged.module(), read_lora(bench->artifact(after) / kLoraFile), "test");
    const auto theirs = published->named_parameters();
    for (const auto& p : merged->named_parameters()) CHECK(torch::allclose(p.value(), theirs[p.key()], 1e-6, 1e-7));
  }
  const auto again = study(true);
  for (const char* name : {"base", "full", "lora", "attention"}) {
    CAPTURE(name);
    for (const auto& entry : fs::directory_iterator(bench->artifact(name))) {
      const fs::path file = entry.path().filename();
      if (file.extension() == ".safetensors") CHECK(read_file(entry.path()) == read_file(again->artifact(name) / file));
    }
  }
}
