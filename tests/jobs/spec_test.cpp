#include "jobs/spec.hpp"

#include <doctest/doctest.h>

#include "common/error.hpp"

using namespace guda;
using namespace guda::jobs;

namespace {

Digest d(std::string_view name) { return digest_of(name); }

std::vector<Work> one_of_each() {
  TrainSpec train;
  train.model = {{"sample_size", 8}, {"norm_eps", 1e-5}};
  train.training.steps = 7;
  train.seed = 3;
  train.removal = d("group 7");
  UnlearnSpec unlearn;
  unlearn.from = d("full");
  unlearn.unlearn.op = "ifu";
  unlearn.removal = d("group 7");
  SampleSpec sample;
  sample.from = d("full");
  sample.set.count = 2;
  sample.names = {"generated/s0/0000", "generated/s0/0001"};
  ScoreSpec score;
  score.weights = d("full");
  score.queries = d("queries");
  score.first = 1024;
  score.count = 512;
  score.slots = {{10, 0, 0.25}, {30, 1, 0.5}};
  score.noise_seed = 18446744073709551615ULL;
  AttributeSpec attribute;
  attribute.method = "knn";
  attribute.k = 9;
  attribute.groups = {d("group 0"), d("group 1")};
  FeaturesSpec features;
  features.kind = "gradients";
  features.weights = d("full");
  features.count = 7;
  features.loss = "error";
  features.dimension = 64;
  MirrorSpec mirror;
  mirror.method = "abu";
  mirror.weights = d("full");
  mirror.fisher = {d("fisher")};
  mirror.ascent.items = 3;
  mirror.groups = {d("group 0")};
  ComponentSpec component;
  component.part = "text_encoder";
  component.text_encoder.hidden_size = 32;
  component.texts = {"A depiction of Seven"};
  return {train, unlearn, sample, score, attribute, features, mirror, component};
}

std::string refusal(const Json& json) {
  try {
    (void)work_from_json(json);
  } catch (const Error& error) {
    return error.what();
  }
  return "accepted";
}

}  // namespace

TEST_CASE("work as JSON: every kind comes back equal and is named by its kind") {
  const std::vector<std::string> kinds = {"train",     "unlearn",  "sample", "score",
                                          "attribute", "features", "mirror", "component"};
  const auto works = one_of_each();
  for (std::size_t i = 0; i < works.size(); ++i) {
    CAPTURE(kinds[i]);
    const Json json = to_json(works[i]);
    CHECK(kind_of(works[i]) == kinds[i]);
    CHECK(json["kind"] == kinds[i]);
    const Work back = work_from_json(Json::parse(json.dump()));
    CHECK(back.index() == i);
    CHECK(to_json(back).dump() == json.dump());
  }
}

TEST_CASE("work as JSON: slots of a Score job are timestep and draw, and weights do not enter") {
  auto score = std::get<ScoreSpec>(one_of_each()[3]);
  const Json json = to_json(Work{score});
  CHECK(json["slots"] == Json::parse("[[10,0],[30,1]]"));
  score.slots[0].weight = 99;
  CHECK(to_json(Work{score}) == json);
  const auto back = std::get<ScoreSpec>(work_from_json(json));
  CHECK(back.slots[1] == Slot{30, 1, 0.0});
  CHECK(back.noise_seed == 18446744073709551615ULL);
}

TEST_CASE("work as JSON: what a text-to-image job reads beside its weights is part of it, and absent for others") {
  for (const std::size_t kind : {0, 1, 2, 3}) {
    Work work = one_of_each()[kind];
    CHECK_FALSE(to_json(work).contains("conditioning"));
    Conditioning read{d("autoencoder"), {d("latents")}, {d("captions"), d("anchors")}};
    std::visit(
        [&](auto& spec) {
          if constexpr (requires { spec.conditioning; }) spec.conditioning = read;
        },
        work);
    CHECK(to_json(work)["conditioning"]["texts"].size() == 2);
    CHECK(to_json(work_from_json(to_json(work))) == to_json(work));
  }
  CHECK(inputs_of({d("a"), {d("b")}, {d("c")}}) == std::vector{d("b"), d("a"), d("c")});
}

TEST_CASE("work as JSON: any field that shapes the result changes the text") {
  auto train = std::get<TrainSpec>(one_of_each()[0]);
  const std::string before = to_json(Work{train}).dump();
  train.training.optimizer.eps = 1e-9;
  CHECK(to_json(Work{train}).dump() != before);
  auto sample = std::get<SampleSpec>(one_of_each()[2]);
  const std::string sampled = to_json(Work{sample}).dump();
  sample.set.sampler.clamp = false;
  CHECK(to_json(Work{sample}).dump() != sampled);
}

TEST_CASE("work as JSON: wrong and missing keys are refused by name") {
  Json json = to_json(one_of_each()[3]);
  CHECK(refusal(Json::array()) == "JSON: work wants an object");
  Json bad = json;
  bad["kind"] = "bake";
  CHECK(refusal(bad) ==
        "kind: wants train, unlearn, sample, score, attribute, features, mirror or component, not \"bake\"");
  bad = json;
  bad.erase("kind");
  CHECK(refusal(bad) == "kind: the key is missing");
  bad = json;
  bad["slots"][0] = {1, 2, 3};
  CHECK(refusal(bad) == "slots[0]: wants [timestep, draw] or [timestep, draw, -1], not [1,2,3]");
  bad = json;
  bad.erase("slots");
  CHECK(refusal(bad) == "slots: the key is missing");
  bad = json;
  bad["weights"] = "../../etc";
  CHECK(refusal(bad) == "weights: wants a digest (32 hex digits) or nothing, not \"../../etc\"");
  bad = json;
  bad["extra"] = 1;
  CHECK(refusal(bad) == "extra: is not a known key");
}
