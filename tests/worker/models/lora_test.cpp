#include "worker/models/lora.hpp"

#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>

#include "common/error.hpp"
#include "common/safetensors.hpp"
#include "tests/support/scratch_folder.hpp"
#include "tests/support/tiny_styles.hpp"
#include "tests/worker/models/golden_gradients.hpp"
#include "tests/worker/models/golden_weights.hpp"
#include "worker/models/tensor_bytes.hpp"
#include "worker/models/unet2d_condition.hpp"

using namespace guda;
using namespace guda::worker;
namespace fs = std::filesystem;

namespace {

const std::string kLayer = "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q";

UNet2DCondition tiny() {
  UNet2DCondition model = make_unet2d_condition(test::tiny_text_model(), 3);
  model->eval();
  return model;
}

at::Tensor output(UNet2DCondition& model) {
  const at::NoGradGuard no_grad;
  return model(draw_noise(SeedPath(1), 0, {2, 4, 8, 8}), at::full({2}, 40, at::kLong),
               draw_noise(SeedPath(2), 0, {2, 8, 16}));
}

/// A LoRA that does something.
Lora drawn(UNet2DCondition& model, std::uint32_t rank, double scale) {
  Lora lora = attach_lora(*model, rank, scale, SeedPath(7));
  const at::NoGradGuard no_grad;
  for (auto& [name, pair] : lora)
    pair.up.copy_(draw_noise(SeedPath(8) / name, 0, {pair.up.size(0), 1, 1, rank}).view_as(pair.up));
  return lora;
}

void write(const fs::path& file, const std::vector<std::pair<std::string, at::Tensor>>& tensors) {
  std::vector<TensorToWrite> all;
  for (const auto& [name, tensor] : tensors) all.push_back(to_write(name, tensor));
  write_safetensors(file, std::move(all));
}

}  // namespace

TEST_CASE("LoRA: a new one changes nothing, and stands beside every projection of the transformers") {
  UNet2DCondition model = tiny();
  const at::Tensor before = output(model);
  const Lora lora = attach_lora(*model, 4, 2, SeedPath(7));
  CHECK(at::equal(output(model), before));
  CHECK(lora.size() == 4 * 8);  // transformers: down 1, mid 1, up 2; two attentions of four projections each
  CHECK(lora.contains(kLayer));
  CHECK(lora.contains("mid_block.attentions.0.transformer_blocks.0.attn2.to_out.0"));
  const double largest = lora.at(kLayer).down.abs().max().item<double>();
  CHECK(largest <= 1 / std::sqrt(8.0));
  CHECK(largest > 0.8 / std::sqrt(8.0));
  CHECK_FALSE(at::equal(lora.at(kLayer).down, attach_lora(*model, 4, 2, SeedPath(6)).at(kLayer).down));
}

TEST_CASE("LoRA: merged weights are W + scale up down, and predict what the pairs beside them predict within 1e-5") {
  UNet2DCondition model = tiny();
  const Lora lora = drawn(model, 3, 0.5);
  const at::Tensor beside = output(model);
  const at::Tensor weight = model->named_parameters()[kLayer + ".weight"].detach().clone();
  detach_lora(*model);
  const at::Tensor without = output(model);
  CHECK(testing::relative_error(without, beside) > 1e-2);
  merge_lora(*model, lora, "test");
  CHECK(testing::relative_error(output(model), beside) < 1e-5);

  const LowRank& pair = lora.at(kLayer);
  at::Tensor wanted = weight.to(at::kDouble);
  for (std::int64_t o = 0; o < 8; ++o) {
    for (std::int64_t i = 0; i < 8; ++i) {
      double sum = 0;
      for (std::int64_t r = 0; r < 3; ++r) sum += pair.up[o][r].item<double>() * pair.down[r][i].item<double>();
      wanted[o][i] += 0.5 * sum;
    }
  }
  CHECK(testing::relative_error(model->named_parameters()[kLayer + ".weight"].to(at::kDouble), wanted) < 1e-6);
  merge_lora(*model, lora, "test", -1);  // and away again
  CHECK(testing::relative_error(output(model), without) < 1e-5);
}

TEST_CASE("LoRA: merging leaves a model alone that shares its memory") {
  UNet2DCondition model = tiny(), other = tiny();
  for (auto& p : other->named_parameters()) p.value().set_data(model->named_parameters()[p.key()]);
  const at::Tensor before = output(other);
  const Lora lora = drawn(model, 2, 1);
  detach_lora(*model);
  merge_lora(*model, lora, "test");
  CHECK(at::equal(output(other), before));
  CHECK_FALSE(at::equal(output(model), before));
}

TEST_CASE("LoRA: what is written is read again, its scale within lora_B") {
  const test::ScratchFolder scratch;
  UNet2DCondition model = tiny();
  const Lora lora = drawn(model, 3, 0.25);
  const at::Tensor beside = output(model);
  detach_lora(*model);
  write_lora(scratch / kLoraFile, lora);
  const SafetensorsFile file(scratch / kLoraFile);
  CHECK(file.tensors().size() == 2 * lora.size());
  CHECK(at::equal(tensor_from(file, "unet." + kLayer + ".lora_B.weight"), lora.at(kLayer).up.detach() * 0.25));
  const Lora again = read_lora(scratch / kLoraFile);
  CHECK(again.at(kLayer).scale == 1);
  merge_lora(*model, again, "test");
  CHECK(testing::relative_error(output(model), beside) < 1e-5);
}

TEST_CASE("LoRA: all names that diffusers and peft have used are understood, and alpha") {
  const test::ScratchFolder scratch;
  const at::Tensor down = at::full({2, 8}, 0.5), up = at::full({8, 2}, 2.0);
  const std::string block = "down_blocks.1.attentions.0.transformer_blocks.0.attn1.";
  for (const auto& [a, b] :
       {std::pair{"unet." + block + "to_q.lora_A.weight", "unet." + block + "to_q.lora_B.weight"},
        {block + "to_q.lora.down.weight", block + "to_q.lora.up.weight"},
        {"unet." + block + "processor.to_q_lora.down.weight", "unet." + block + "processor.to_q_lora.up.weight"}}) {
    CAPTURE(a);
    write(scratch / "lora.safetensors", {{a, down}, {b, up}});
    const Lora lora = read_lora(scratch / "lora.safetensors");
    REQUIRE(lora.contains(kLayer));
    CHECK(lora.at(kLayer).scale == 1);
    CHECK(at::equal(lora.at(kLayer).up, up));
  }
  write(scratch / "lora.safetensors", {{"unet." + block + "processor.to_out_lora.down.weight", down},
                                       {"unet." + block + "processor.to_out_lora.up.weight", up},
                                       {block + "to_q.lora_A.weight", down.to(at::kHalf)},
                                       {block + "to_q.lora_B.weight", up.to(at::kBFloat16)},
                                       {block + "to_q.alpha", at::full({}, 6.0F)}});
  const Lora lora = read_lora(scratch / "lora.safetensors");
  CHECK(lora.contains(block + "to_out.0"));
  CHECK(lora.at(kLayer).scale == 3);
  CHECK(at::equal(lora.at(kLayer).down, down));
  UNet2DCondition model = tiny();
  const at::Tensor weight = model->named_parameters()[kLayer + ".weight"].detach().clone();
  merge_lora(*model, lora, "test");
  CHECK(testing::relative_error(model->named_parameters()[kLayer + ".weight"].detach() - weight,
                                at::full({8, 8}, 3.0 * 2 * 0.5 * 2.0)) < 1e-6);
}

TEST_CASE("LoRA: halves, other parts, other models and other shapes are refused, all of a kind at once") {
  const test::ScratchFolder scratch;
  const fs::path file = scratch / "lora.safetensors";
  const at::Tensor down = at::ones({2, 8}), up = at::ones({8, 2});
  const auto message = [](const auto& what) -> std::string {
    try {
      what();
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  };
  write(file, {{"unet.a.lora_A.weight", down},
               {"unet.b.lora_B.weight", up},
               {"text_encoder.c.lora_A.weight", down},
               {"unet.d.hada_w1", down}});
  const std::string text = message([&] { (void)read_lora(file); });
  CAPTURE(text);
  for (const char* part : {"lora.safetensors", "a, b", "text_encoder.c.lora_A.weight", "unet.d.hada_w1"})
    CHECK(text.find(part) != std::string::npos);
  write(file, {{"x", down}});
  CHECK(message([&] { (void)read_lora(file); }).find("unknown: x") != std::string::npos);

  UNet2DCondition model = tiny();
  const at::Tensor before = output(model);
  Lora lora{{"nowhere.to_q", {down, up, 1}}, {kLayer, {at::ones({2, 9}), up, 1}}};
  const std::string misfit = message([&] { merge_lora(*model, lora, "my file"); });
  CAPTURE(misfit);
  for (const char* part : {"my file", "nowhere.to_q", "down [2, 9]"}) CHECK(misfit.find(part) != std::string::npos);
  CHECK(at::equal(output(model), before));
}

TEST_CASE("LoRA: a file that diffusers and peft saved, merged, predicts what they predict with it within 1e-5") {
  const fs::path folder = fs::path(GUDA_SOURCE_DIR) / "tests" / "golden" / "lora";
  const SafetensorsFile recorded(folder / "reference.safetensors");
  UNet2DCondition model = make_unet2d_condition(Json::parse(recorded.metadata().at("config")), 0);
  model->eval();
  testing::fill_golden_weights(*model, std::stoull(recorded.metadata().at("weight_seed")));
  const auto forward = [&] {
    const at::NoGradGuard no_grad;
    return model(tensor_from(recorded, "sample"), tensor_from(recorded, "timestep"), tensor_from(recorded, "context"));
  };
  CHECK(testing::relative_error(forward(), tensor_from(recorded, "without")) < 1e-5);
  merge_lora(*model, read_lora(folder / kLoraFile), "the recorded file");
  CHECK(testing::relative_error(forward(), tensor_from(recorded, "out")) < 1e-5);
  CHECK(testing::relative_error(tensor_from(recorded, "without"), tensor_from(recorded, "out")) > 1e-2);
}
