#include <doctest/doctest.h>
#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "common/config/issues.hpp"
#include "common/files.hpp"
#include "jobs/config_reference.hpp"
#include "jobs/experiment_diff.hpp"
#include "jobs/experiment_file.hpp"
#include "jobs/experiment_json.hpp"
#include "jobs/operators.hpp"

using namespace guda;
using namespace guda::jobs;
namespace fs = std::filesystem;

namespace {

const fs::path kRecipes = fs::path(GUDA_SOURCE_DIR) / "jobs/recipes";

const std::string kSmall =
    "model: {in_channels: 1, out_channels: 1, block_out_channels: [16, 32], norm_num_groups: 8, dropout: 0,\n"
    "        down_block_types: [DownBlock2D, DownBlock2D], up_block_types: [UpBlock2D, UpBlock2D], attention_head_dim: "
    "null}\n"
    "queries: [{kind: generated}, {kind: held_out}]\n"
    "methods: [{method: logo}, {method: guda, unlearn: {op: ifu}}, {method: guda}, {name: near, method: knn, k: 3}]\n";

std::string refusal(const std::vector<std::string>& overrides) {
  try {
    (void)read_experiment(kSmall, "small.yaml", overrides);
  } catch (const config::ConfigError& error) {
    return error.what();
  }
  return "accepted";
}

}  // namespace

TEST_CASE("experiment file: what is left out has the default of its field") {
  const Experiment e = read_experiment(kSmall, "small.yaml");
  CHECK(e.training.steps == TrainingConfig{}.steps);
  CHECK(e.training.optimizer.lr == 4e-3);
  CHECK(e.methods[1].unlearn.optimizer.lr == 1e-3);
  CHECK(e.seeds == std::vector<std::uint64_t>{0});
  CHECK(e.queries[0].sampler.steps == 100);
}

TEST_CASE("experiment file: names default to the kind, the method or the operator") {
  const Experiment e = read_experiment(kSmall, "small.yaml");
  CHECK(e.queries[0].name == "generated");
  CHECK(e.queries[1].name == "held_out");
  CHECK(e.methods[0].name == "logo");
  CHECK(e.methods[1].name == "ifu");
  CHECK(e.methods[2].name == "retrack_exact");
  CHECK(e.methods[3].name == "near");
}

TEST_CASE("experiment file: weightings default to elbo and mid, which follows the length of the diffusion") {
  const Experiment e = read_experiment(
      kSmall + "diffusion: {timesteps: 50}\nscoring: {first_timestep: 1, last_timestep: 49, stride: 1}\n", "s.yaml",
      {"queries.generated.sampler.steps=10"});
  REQUIRE(e.comparison.weightings.size() == 2);
  CHECK(e.comparison.weightings[0].name == "elbo");
  CHECK(e.comparison.weightings[0].t_min == 0);
  CHECK(e.comparison.weightings[1].name == "mid");
  CHECK(e.comparison.weightings[1].kind == "elbo");
  CHECK(e.comparison.weightings[1].t_min == 5);
  CHECK(e.comparison.weightings[1].t_max == 45);
}

TEST_CASE("experiment file: values of the model get the type of their key") {
  const Json model = read_experiment(kSmall, "small.yaml").model;
  CHECK(model["dropout"].is_number_float());
  CHECK(model["in_channels"].is_number_integer());
  CHECK(model["attention_head_dim"].is_null());
  CHECK(model["block_out_channels"] == Json{16, 32});
}

TEST_CASE("experiment file: --set changes keys, entries by name or index, and whole lists") {
  const Experiment e = read_experiment(
      kSmall, "small.yaml",
      {"training.steps=100", "methods.ifu.unlearn.steps=50", "methods.2.unlearn.steps=60", "queries.generated.count=32",
       "seeds=[3, 4]", "model.dropout=0.1", "training.optimizer={lr: 0.5}", "training.steps=110", "name=a b"});
  CHECK(e.training.steps == 110);
  CHECK(e.methods[1].unlearn.steps == 50);
  CHECK(e.methods[2].unlearn.steps == 60);
  CHECK(e.queries[0].count == 32);
  CHECK(e.seeds == std::vector<std::uint64_t>{3, 4});
  CHECK(e.model["dropout"] == 0.1);
  CHECK(e.training.optimizer.lr == 0.5);
  CHECK(e.name == "a b");
}

TEST_CASE("experiment file: an error in --set points at --set") {
  CHECK(refusal({"training.stpes=10"}) ==
        "--set training.stpes=10: training.stpes: is not a known key; did you mean 'steps'?");
  CHECK(refusal({"training.steps=1e3"}) ==
        "--set training.steps=1e3: training.steps: wants an integer of 0 or more: write 1000 instead of 1e3");
  CHECK(refusal({"methods.iffu.unlearn.steps=5"}) ==
        "--set methods.iffu.unlearn.steps=5: methods: has no entry 'iffu'; did you mean 'ifu'? (there are logo, ifu, "
        "retrack_exact or near)");
  CHECK(refusal({"training.steps"}) == "--set training.steps: wants key.path=value, for example training.steps=10");
  CHECK(refusal({"training..steps=1"}).find("wants key.path=value") != std::string::npos);
  CHECK(refusal({"seeds=[0"}).starts_with("--set seeds=[0:1:"));
  CHECK(refusal({"training.steps.x=1", "training.steps=20", "training.steps.y=1"})
            .find("--set training.steps.y=1: training.steps: is a single value, so it has no 'y'") !=
        std::string::npos);
  CHECK(refusal({"training.steps=10"}) ==
        "--set training.steps=10: training.warmup_steps: 50 (the default) is more than training.steps, 10");
}

TEST_CASE("experiment file: relative paths start at the file's folder and come back absolute") {
  const fs::path folder = fs::path(GUDA_BINARY_DIR) / "experiment_test";
  fs::create_directories(folder);
  replace_file(folder / "groups.csv", "item,group\n0,a\n", false);
  replace_file(folder / "exp.yaml", kSmall + "groups: {by: manifest, manifest: ./groups.csv}\n", false);
  CHECK(load_experiment(folder / "exp.yaml").groups.manifest == folder / "groups.csv");
}

TEST_CASE("experiment file: an experiment survives the way through JSON") {
  for (const char* recipe : {"digits.yaml", "digits-full.yaml", "digits-smoke.yaml", "digits-all-methods.yaml",
                             "lds.yaml", "removal.yaml"}) {
    const Json json = load_experiment(kRecipes / recipe);
    CHECK(Json(Json::parse(json.dump()).get<Experiment>()) == json);
  }
}

TEST_CASE("recipes: the digits recipe is the configuration of the published study") {
  const Experiment e = load_experiment(kRecipes / "digits.yaml");
  CHECK(e.methods.size() == 7);
  CHECK(e.queries[0].count == 256);
  CHECK(e.queries[1].name == "real");
  CHECK(e.queries[1].count == 297);
  CHECK(e.comparison.second_reference.empty());
  CHECK(e.training.optimizer.lr == 4e-3);
}

TEST_CASE("recipes: digits-full adds the second oracle, operators and seeds, and changes nothing else") {
  const auto lines =
      experiment_diff(load_experiment(kRecipes / "digits.yaml"), load_experiment(kRecipes / "digits-full.yaml"));
  const std::vector<std::string> expected = {"comparison.second_reference: \"\" -> \"logo_b\"",
                                             "methods.finetune_retain: added",
                                             "methods.logo_b: added",
                                             "methods.retrack_minsnr: added",
                                             "name: \"digits\" -> \"digits-full\"",
                                             "queries.generated.count: 256 -> 342",
                                             "retention.keep: \"all\" -> \"weights\"",
                                             "seeds: [0] -> [0,1,2]"};
  CHECK(lines == expected);
}

TEST_CASE("recipes: the smoke recipe uses every method, and the operators that forget and keep in different ways") {
  const Experiment e = load_experiment(kRecipes / "digits-smoke.yaml");
  std::set<std::string> methods, operators;
  for (const auto& m : e.methods) {
    methods.insert(m.method);
    if (m.method == "guda") operators.insert(m.unlearn.op);
  }
  CHECK(methods == std::set<std::string>{"logo", "guda", "random", "pixel_cosine", "knn"});
  CHECK(operators.size() == 6);
  CHECK(e.comparison.second_reference == "logo_b");
}

TEST_CASE("experiment file: it may ask for exactly the operators that guda has") {
  for (const OperatorInfo& op : operators()) {
    if (op.text_to_image) continue;
    std::vector<std::string> overrides{"methods.1.name=first", "methods.2.name=second",
                                       fmt::format("methods.second.unlearn={{op: {}}}", op.name)};
    if (std::string_view(op.name) == "esd_class") overrides.emplace_back("guide={block_out_channels: [16, 32]}");
    CHECK(read_experiment(kSmall, "s.yaml", overrides).methods[2].unlearn.op == op.name);
  }
  std::string names;
  for (const OperatorInfo& op : operators()) names += fmt::format("{}`{}`", names.empty() ? "" : ", ", op.name);
  CHECK(config_reference().find("| " + names + " |") != std::string::npos);
}

TEST_CASE("experiment diff: values, entries by name, order") {
  Json a = read_experiment(kSmall, "a.yaml");
  CHECK(experiment_diff(a, a).empty());
  const Json b = read_experiment(kSmall, "a.yaml", {"training.steps=700", "methods.near.k=4", "model.dropout=0.5"});
  CHECK(experiment_diff(a, b) ==
        std::vector<std::string>{"methods.near.k: 3 -> 4", "model.dropout: 0.0 -> 0.5", "training.steps: 600 -> 700"});
  Json c = a;
  std::swap(c["queries"][0], c["queries"][1]);
  CHECK(experiment_diff(a, c) ==
        std::vector<std::string>{R"(queries: order ["generated","held_out"] -> ["held_out","generated"])"});
  Json d = a;
  d["methods"].erase(3);
  CHECK(experiment_diff(a, d) == std::vector<std::string>{"methods.near: removed"});
}

TEST_CASE("docs/config.md is what the schema says") {
  const fs::path page = fs::path(GUDA_SOURCE_DIR) / "docs/config.md";
  const std::string now = config_reference();
  const bool same = fs::exists(page) && read_file(page) == now;
  if (!same) replace_file(fs::path(GUDA_BINARY_DIR) / "config.md", now, false);
  CHECK_MESSAGE(same, "docs/config.md is out of date: copy ", GUDA_BINARY_DIR,
                "/config.md over it (guda config-reference)");
}
