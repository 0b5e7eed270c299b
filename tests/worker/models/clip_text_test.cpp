#include "worker/models/clip_text.hpp"

#include <doctest/doctest.h>
#include <torch/torch.h>

#include <filesystem>
#include <fstream>

#include "common/error.hpp"
#include "common/files.hpp"
#include "common/safetensors.hpp"
#include "tests/support/scratch_folder.hpp"
#include "worker/models/tensor_bytes.hpp"

using namespace guda;
using namespace guda::worker;
namespace fs = std::filesystem;

namespace {

fs::path golden(const std::string& name) { return fs::path(GUDA_SOURCE_DIR) / "tests/golden/clip_text" / name; }

void check_close(const std::string& what, const at::Tensor& got, const SafetensorsFile& expected) {
  CAPTURE(what);
  const at::Tensor wanted = tensor_from(expected, what);
  REQUIRE(got.sizes() == wanted.sizes());
  CHECK(((got - wanted).abs().max() / wanted.abs().max()).item<double>() < 1e-4);
}

}  // namespace

TEST_CASE("CLIP text: hidden states, pooled output and features are those of transformers") {
  const at::NoGradGuard no_grad;
  for (const std::string name : {"sd1", "sd2", "projection", "both_towers"}) {
    CAPTURE(name);
    const SafetensorsFile expected(golden(name) / "expected.safetensors");
    ClipText model = load_clip_text(golden(name));
    const at::Tensor ids = tensor_from(expected, "input_ids");
    const ClipTextOutput out = model(ids);
    check_close("last_hidden_state", out.last_hidden_state, expected);
    check_close("pooler_output", out.pooler_output, expected);
    check_close("hidden_states", at::stack(out.hidden_states), expected);
    check_close("penultimate", model->embed(ids, 1), expected);
    CHECK(at::equal(model->embed(ids), out.last_hidden_state));
    CHECK((model->projection() > 0) == expected.tensors().contains("text_embeds"));
    if (model->projection() > 0) check_close("text_embeds", model->project(out.pooler_output), expected);
  }
}

TEST_CASE("CLIP text: a token is not changed by what follows it") {
  ClipText model = load_clip_text(golden("sd2"));
  const at::NoGradGuard no_grad;
  const at::Tensor ids = torch::tensor({{38, 5, 6, 39, 0}, {38, 5, 6, 39, 7}}, at::kLong);
  const ClipTextOutput out = model(ids);
  CHECK(at::equal(out.last_hidden_state[0].narrow(0, 0, 4), out.last_hidden_state[1].narrow(0, 0, 4)));
  CHECK(at::equal(out.pooler_output[0], out.pooler_output[1]));
  CHECK_FALSE(at::equal(out.last_hidden_state[0][4], out.last_hidden_state[1][4]));
}

TEST_CASE("CLIP text: a written model is the same when it is read again") {
  const test::ScratchFolder scratch;
  for (const std::string name : {"sd1", "projection"}) {
    ClipText model = load_clip_text(golden(name));
    save_clip_text(model, scratch.path() / name);
    ClipText again = load_clip_text(scratch.path() / name);
    const at::Tensor ids = torch::tensor({{38, 3, 39}}, at::kLong);
    CHECK(at::equal(model(ids).pooler_output, again(ids).pooler_output));
    CHECK(again->projection() == model->projection());
    CHECK(again->config().to_json(0) == model->config().to_json(0));
  }
}

TEST_CASE("CLIP text: initial weights are a function of the seed, and train") {
  ClipTextConfig config;
  config.vocab_size = 10;
  config.hidden_size = 8;
  config.intermediate_size = 8;
  config.num_hidden_layers = 1;
  config.num_attention_heads = 2;
  ClipText one = make_clip_text(config, 0, 5), same = make_clip_text(config, 0, 5),
           other = make_clip_text(config, 0, 6);
  const at::Tensor ids = torch::tensor({{1, 2, 3}}, at::kLong);
  CHECK(at::equal(one->embed(ids), same->embed(ids)));
  CHECK_FALSE(at::equal(one->embed(ids), other->embed(ids)));
  one->embed(ids).square().sum().backward();
  for (const auto& p : one->named_parameters()) {
    CAPTURE(p.key());
    CHECK(p.value().grad().defined());
  }
}

TEST_CASE("CLIP text: wrong tokens and folders are refused by name") {
  ClipText model = load_clip_text(golden("sd1"));
  CHECK_THROWS_WITH_AS((void)model(torch::tensor({{40}}, at::kLong)), doctest::Contains("vocabulary"), Error);
  CHECK_THROWS_WITH_AS((void)model(at::zeros({1, 13}, at::kLong)), doctest::Contains("1 to 12"), Error);
  CHECK_THROWS_WITH_AS((void)model(at::zeros({1, 3})), doctest::Contains("Float"), Error);
  CHECK_THROWS_WITH_AS((void)model->project(at::zeros({1, 16})), doctest::Contains("text_projection"), Error);
  const test::ScratchFolder scratch;
  for (const char* name : {"config.json", "model.safetensors"})
    fs::copy_file(golden("sd1") / name, scratch.path() / name);
  const std::string config = read_file(scratch.path() / "config.json");
  const auto rewrite = [&](const std::string& from, const std::string& to) {
    std::string text = config;
    text.replace(text.find(from), from.size(), to);
    std::ofstream(scratch.path() / "config.json") << text;
  };
  rewrite("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1");
  CHECK_THROWS_WITH_AS((void)load_clip_text(scratch.path()), doctest::Contains("unused: text_model.encoder.layers.1."),
                       Error);
  rewrite("\"quick_gelu\"", "\"relu\"");
  CHECK_THROWS_WITH_AS((void)load_clip_text(scratch.path()), doctest::Contains("hidden_act"), Error);
  rewrite("\"hidden_size\": 16", "\"hidden_size\": 15");
  CHECK_THROWS_WITH_AS((void)load_clip_text(scratch.path()), doctest::Contains("num_attention_heads"), Error);
}
