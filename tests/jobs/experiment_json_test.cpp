#include "jobs/experiment_json.hpp"

#include <doctest/doctest.h>

#include "common/error.hpp"

using namespace guda;
using namespace guda::jobs;

namespace {

Experiment unusual() {
  Experiment e;
  e.name = "unusual";
  e.seeds = {0, 18446744073709551615ULL};
  e.dataset.path = "/data/some where";
  e.model = {
      {"sample_size", 8}, {"dropout", 0.5}, {"class_embed_type", nullptr}, {"down_block_types", {"DownBlock2D"}}};
  e.diffusion.beta_end = 0.1 + 0.2;
  e.queries.resize(2);
  e.queries[1].kind = "images";
  e.queries[1].images = {"/a.png", "/b.png"};
  e.methods.resize(2);
  e.methods[0] = {.name = "logo", .method = "logo", .unlearn = {}};
  e.methods[1] = {.name = "ifu", .method = "guda", .unlearn = {.op = "ifu", .rho = 0.25}};
  e.comparison.weightings = {{.name = "late", .kind = "flat", .t_min = 500}};
  return e;
}

std::string refusal(const Json& json) {
  try {
    (void)json.get<Experiment>();
  } catch (const Error& error) {
    return error.what();
  }
  return "accepted";
}

}  // namespace

TEST_CASE("experiment as JSON: what is read equals what was written, to the last bit") {
  const Json before = unusual();
  const Json after = Json::parse(before.dump()).get<Experiment>();
  CHECK(before == after);
  CHECK(before.dump() == after.dump());
  CHECK(after["diffusion"]["beta_end"].get<double>() == 0.1 + 0.2);
  CHECK(after["seeds"][1].get<std::uint64_t>() == 18446744073709551615ULL);
  CHECK(after["methods"][1]["unlearn"]["rho"] == 0.25);
}

TEST_CASE("experiment as JSON: every field is dumped, defaults too") {
  const Json json = Experiment{};
  CHECK(json["training"]["optimizer"]["lr"] == 4e-3);
  CHECK(json["dataset"]["path"] == "");
  CHECK(json["comparison"]["weightings"] == Json::array());
  CHECK(json["model"] == Json::object());
  const Json method = MethodConfig{};
  CHECK(method["unlearn"].size() == 22);
}

TEST_CASE("experiment JSON: a key that older versions don't know is only there when it says something") {
  Experiment e = unusual();
  CHECK_FALSE(Json(e).contains("reuse"));
  e.reuse = {"/runs/a", "/runs/b"};
  CHECK(Json(e).at("reuse").size() == 2);
  CHECK(Json(e).get<Experiment>().reuse == e.reuse);
  Json without = Json(e);
  without.erase("reuse");
  CHECK(without.get<Experiment>().reuse.empty());
}

TEST_CASE("experiment as JSON: a missing, unknown or mistyped key is refused by its path") {
  Json json = unusual();
  json["training"]["optimizer"].erase("lr");
  CHECK(refusal(json) == "training.optimizer.lr: the key is missing");
  json = unusual();
  json["methods"][1]["unlearn"]["lrr"] = 1;
  CHECK(refusal(json) == "methods[1].unlearn.lrr: is not a known key");
  json = unusual();
  json["training"]["steps"] = -1;
  CHECK(refusal(json) == "training.steps: wants a non-negative integer, not -1");
  json["training"]["steps"] = 4294967296ULL;
  CHECK(refusal(json) == "training.steps: 4294967296 is too large");
  json["training"]["steps"] = "6";
  CHECK(refusal(json) == "training.steps: wants a non-negative integer, not \"6\"");
  json = unusual();
  json["queries"] = 3;
  CHECK(refusal(json) == "queries: wants a list");
}
