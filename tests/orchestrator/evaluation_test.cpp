#include "orchestrator/evaluation.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>

#include "common/files.hpp"
#include "common/npy.hpp"
#include "jobs/evaluation.hpp"
#include "tests/orchestrator/synthetic_run.hpp"
#include "tests/support/scratch_folder.hpp"

namespace guda::orchestrator {
namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

/// A study whose subset models lose exactly the sum of what their removed groups are worth to a query.
struct AdditiveStudy {
  AdditiveStudy() {
    plan.experiment.queries.emplace_back();
    plan.experiment.evaluation.subsets = {.count = 12, .share = 0.5, .seed = 7};
    table = test::empty_table(plan);
    test::fill_fulls(table);
    removed = jobs::removed_groups(plan.experiment.evaluation.subsets, 10);
    for (std::size_t m = 0; m < removed.size(); ++m) {
      auto& losses = table.losses.at(jobs::subset_rows(m));
      for (std::size_t i = 0; i < losses.size(); ++i) {
        double gain = 0;
        for (const std::uint32_t k : removed[m]) gain += worth(i / table.slots(), k);
        losses[i] += static_cast<float>(gain);
      }
    }
    test::fill_losses(table, "logo", [](std::size_t q, std::size_t k, std::size_t) { return worth(q, k); });
    for (std::size_t i = 0; i < table.scores.at("dtrak").size(); ++i) {
      table.scores["dtrak"][i] = 5 * worth(i / 10, i % 10) - 2;  // another scale and offset: the order of sums is that
      table.scores["trak"][i] = -worth(i / 10, i % 10);
      table.scores["random"][i] = test::noise(1, i / 10, i % 10);
    }
  }
  static double worth(std::size_t q, std::size_t k) { return 0.1 * test::noise(9, q, k); }

  jobs::Plan plan = test::synthetic_plan(
      {.queries = 40}, {{"logo", "logo"}, {"dtrak", "dtrak"}, {"trak", "trak"}, {"random", "random"}});
  ResultsTable table;
  std::vector<std::vector<std::uint32_t>> removed;
};

void write_pictures(const std::filesystem::path& folder, const std::vector<float>& values, std::uint64_t count) {
  std::filesystem::create_directories(folder);
  replace_file(folder / "queries.npy", encode_npy({{count, 1, 2, 2}, values}), false);
}

jobs::JobSpec job(const std::string& name, jobs::Work work, const std::string& method = "") {
  jobs::JobSpec spec{digest_of(std::string_view(name)), name, std::move(work), {}, 0, {}};
  if (!method.empty()) spec.placements = {{method, 0, 0, 0, 0}};
  return spec;
}

jobs::SampleSpec sample(const std::string& set, const std::string& kind, const Digest& from,
                        std::vector<std::string> names) {
  jobs::SampleSpec spec;
  spec.set.name = set;
  spec.set.kind = kind;
  spec.from = from;
  spec.names = std::move(names);
  return spec;
}

}  // namespace

TEST_CASE("datamodel: scores that add up to the losses of subset models have a score of 1, their negative -1") {
  const AdditiveStudy study;
  const auto views = datamodel_scores(study.table, study.plan);
  REQUIRE(views.size() == 2);  // elbo and mid
  const DatamodelView& view = views.front();
  CHECK(view.queries == 40);
  CHECK(view.subsets == 12);
  CHECK(view.methods.at("logo").value == doctest::Approx(1));
  CHECK(view.methods.at("logo").low == doctest::Approx(1));
  CHECK(view.methods.at("dtrak").value == doctest::Approx(1));
  CHECK(view.methods.at("trak").value == doctest::Approx(-1));
  CHECK(std::abs(view.methods.at("random").value) < 0.3);
  CHECK(view.methods.at("random").low < 0);
}

TEST_CASE(
    "datamodel: queries that a subset model has not scored yet are left out, and methods without any are no row") {
  AdditiveStudy study;
  for (std::size_t s = 0; s < study.table.slots(); ++s)
    study.table.losses[jobs::subset_rows(3)][s] = std::numeric_limits<float>::quiet_NaN();
  study.table.scores["trak"].assign(study.table.scores["trak"].size(), kNone);
  const auto views = datamodel_scores(study.table, study.plan);
  REQUIRE_FALSE(views.empty());
  CHECK(views.front().queries == 39);
  CHECK_FALSE(views.front().methods.contains("trak"));
  CHECK(views.front().methods.at("logo").value == doctest::Approx(1));
  study.plan.experiment.evaluation.subsets.count = 0;
  CHECK(datamodel_scores(study.table, study.plan).empty());
}

TEST_CASE("removal: attributed queries and controls are compared with themselves drawn again") {
  const test::ScratchFolder scratch;
  jobs::Plan plan;
  plan.experiment.queries.emplace_back();
  plan.experiment.evaluation.removal = {.items = 2, .queries = 1};
  plan.experiment.comparison.bootstrap = 50;
  const std::vector<std::string> names{"q0", "q1", "q2"};
  for (const std::string& name : names) plan.queries.push_back({.name = name, .set = "generated", .true_group = ""});
  const jobs::JobSpec original = job("original", sample("generated", "generated", {}, names));
  const jobs::JobSpec attribution = job("attribution", jobs::AttributeSpec{}, "dtrak");
  jobs::TrainSpec without_top, without_random;
  without_top.top = {attribution.digest, 1, 2};
  without_random.removal = digest_of(std::string_view("random"));
  plan.removal_sets[without_random.removal] = {"2 random items", {5, 6}};
  const jobs::JobSpec top = job("top", without_top), random = job("random", without_random);
  const jobs::JobSpec again = job("again", sample(jobs::kRegeneratedSet, "generated", top.digest, names));
  const jobs::JobSpec control = job("control", sample(jobs::kRegeneratedSet, "generated", random.digest, names));
  plan.jobs = {original, attribution, top, random, again, control};

  const std::vector<float> pictures{1, -1, 1, -1, 0, 0, 0, 0, 0.5F, 0.5F, 0.5F, 0.5F};
  std::vector<float> changed = pictures;
  for (std::size_t i = 0; i < 4; ++i) changed[i] = -changed[i];  // the attributed query; each pixel by 2
  changed[4] = 1;                                                // one of two controls; root mean square 1/2
  write_pictures(scratch.path() / original.digest.hex, pictures, 3);
  write_pictures(scratch.path() / again.digest.hex, changed, 3);
  std::filesystem::create_directories(scratch.path() / attribution.digest.hex);
  std::ofstream(scratch.path() / attribution.digest.hex / "instances.json")
      << R"({"schema": 1, "names": ["q0", "q1", "q2"], "items": [[3, 4], [1, 2], [1, 2]]})";

  std::vector<std::string> missing;
  const auto view = removal_effects({scratch.path()}, plan, missing);
  REQUIRE(view);
  CHECK(missing == std::vector<std::string>{"control"});
  REQUIRE(view->rows.size() == 1);
  const RemovalRow& row = view->rows[0];
  CHECK(row.method == "dtrak");
  CHECK(row.removed == 2);
  CHECK(row.attributed.distance.value == doctest::Approx(2));
  CHECK(row.attributed.ssim.value < 0.1);
  REQUIRE(row.controls);
  CHECK(row.controls->distance.value == doctest::Approx(0.25));

  write_pictures(scratch.path() / control.digest.hex, pictures, 3);
  missing.clear();
  const auto both = removal_effects({scratch.path()}, plan, missing);
  REQUIRE(both->rows.size() == 2);
  CHECK(missing.empty());
  CHECK(both->rows[1].method == "random items");
  CHECK(both->rows[1].attributed.distance.value == 0);
  CHECK(both->rows[1].attributed.ssim.value == doctest::Approx(1));
  Evaluation evaluation;
  evaluation.removal = both;
  CHECK_FALSE(row.attributed.embedding);
  CHECK(evaluation_tables(evaluation).find("embedding") == std::string::npos);

  // The same in an encoder's features: the attributed query has turned by 60 degrees, the controls by none.
  plan.experiment.evaluation.removal.encoder = "clip";
  const auto embed = [&](const Digest& images, std::vector<float> rows) {
    jobs::FeaturesSpec spec;
    spec.kind = "clip";
    spec.encoder = "clip";
    spec.queries = images;
    spec.count = 3;
    plan.jobs.push_back(job("features of " + images.hex, spec));
    const auto folder = scratch.path() / plan.jobs.back().digest.hex;
    std::filesystem::create_directories(folder);
    replace_file(folder / "features.npy", encode_npy({{3, 2}, std::move(rows)}), false);
  };
  embed(original.digest, {1, 0, 0, 1, 3, 4});
  embed(again.digest, {0.5F, std::sqrt(0.75F), 0, 2, 3, 4});
  const auto embedded = removal_effects({scratch.path()}, plan, missing);
  REQUIRE(embedded->rows[0].attributed.embedding);
  CHECK(embedded->rows[0].attributed.embedding->value == doctest::Approx(0.5));
  CHECK(embedded->rows[0].controls->embedding->value == doctest::Approx(0));
  CHECK_FALSE(embedded->rows[1].attributed.embedding);
  evaluation.removal = embedded;
  CHECK(to_json(evaluation)["removal"]["methods"]["dtrak"]["embedding"]["value"] == doctest::Approx(0.5));
  CHECK(to_json(evaluation)["removal"]["methods"]["random items"]["embedding"].is_null());
  CHECK(evaluation_tables(evaluation).find("embedding distance") != std::string::npos);
  CHECK(to_json(evaluation)["removal"]["methods"]["random items"]["removed"] == 2);
  CHECK(evaluation_tables(evaluation).find("random items") != std::string::npos);
}

TEST_CASE("self-influence: the rank of training images among their own kept items") {
  const test::ScratchFolder scratch;
  jobs::Plan plan;
  const std::vector<std::string> names{"q0", "q1", "q2"};
  const jobs::JobSpec images = job("images", sample("training", "training", {}, names));
  jobs::AttributeSpec spec;
  spec.method = "das";
  spec.queries = images.digest;
  spec.gradients.keep_instances = 3;
  const jobs::JobSpec attribution = job("attribution", spec, "das");
  plan.jobs = {images, attribution};
  std::vector<std::string> missing;
  CHECK(self_influences({scratch.path()}, plan, missing).empty());
  CHECK(missing.size() == 1);

  for (const auto& [of, file, text] :
       {std::tuple{&images, "queries.json", R"({"items": [10, 20, 30]})"},
        std::tuple{&attribution, "instances.json",
                   R"({"schema": 1, "names": ["q0", "q1", "q2"], "items": [[10, 1, 2], [1, 20, 2], [1, 2, 3]]})"}}) {
    std::filesystem::create_directories(scratch.path() / of->digest.hex);
    std::ofstream(scratch.path() / of->digest.hex / file) << text;
  }
  missing.clear();
  const auto rows = self_influences({scratch.path()}, plan, missing);
  CHECK(missing.empty());
  REQUIRE(rows.size() == 1);
  CHECK(rows[0].method == "das");
  CHECK(rows[0].queries == 3);
  CHECK(rows[0].kept == 3);
  CHECK(rows[0].first == doctest::Approx(1.0 / 3));
  CHECK(rows[0].found == doctest::Approx(2.0 / 3));
  REQUIRE(rows[0].median_rank);
  CHECK(*rows[0].median_rank == 2);

  // A mirrored method keeps them block by block.
  jobs::MirrorSpec mirror;
  mirror.method = "mucs";
  mirror.queries = images.digest;
  mirror.mucs.keep_instances = 2;
  for (const auto& [first, count, text] :
       {std::tuple{0U, 2U, R"({"schema": 1, "names": ["q0", "q1"], "items": [[10, 1], [20, 2]]})"},
        std::tuple{2U, 1U, R"({"schema": 1, "names": ["q2"], "items": [[1, 30]]})"}}) {
    mirror.first = first;
    mirror.count = count;
    plan.jobs.push_back(job("mirror " + std::to_string(first), mirror, "mucs"));
    std::filesystem::create_directories(scratch.path() / plan.jobs.back().digest.hex);
    std::ofstream(scratch.path() / plan.jobs.back().digest.hex / "instances.json") << text;
  }
  const auto both = self_influences({scratch.path()}, plan, missing);
  CHECK(missing.empty());
  REQUIRE(both.size() == 2);
  CHECK(both[1].method == "mucs");
  CHECK(both[1].queries == 3);
  CHECK(both[1].first == doctest::Approx(2.0 / 3));
  CHECK(both[1].found == 1);
}

}  // namespace guda::orchestrator
