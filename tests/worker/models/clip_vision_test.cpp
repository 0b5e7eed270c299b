#include "worker/models/clip_vision.hpp"

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

namespace {

std::filesystem::path folder() { return std::filesystem::path(GUDA_SOURCE_DIR) / "tests/golden/clip"; }

const char* const kImages[] = {"small", "large", "wide"};

}  // namespace

TEST_CASE("CLIP vision: pooled and projected features are those of transformers") {
  const SafetensorsFile expected(folder() / "expected.safetensors");
  ClipVision clip = load_clip_vision(folder());
  CHECK(clip->side() == 24);
  std::vector<torch::Tensor> pixels;
  for (const std::string name : kImages) pixels.push_back(tensor_from(expected, name + ".pixels"));
  for (const std::string kind : {"pooled", "projected"}) {
    CAPTURE(kind);
    const torch::Tensor got = clip->features(torch::stack(pixels), kind == "projected");
    const torch::Tensor wanted = tensor_from(expected, kind);
    REQUIRE(got.sizes() == wanted.sizes());
    CHECK(((got - wanted).abs().max() / wanted.abs().max()).item<double>() < 1e-4);
  }
}

TEST_CASE("CLIP vision: preprocessing is that of CLIPImageProcessor on Pillow's bicubic filter") {
  const SafetensorsFile expected(folder() / "expected.safetensors");
  for (const std::string name : kImages) {
    CAPTURE(name);
    const torch::Tensor image = tensor_from(expected, name + ".image").to(torch::kFloat) / 127.5 - 1;
    const torch::Tensor got = clip_pixels(image.unsqueeze(0), 24)[0];
    const torch::Tensor wanted = tensor_from(expected, name + ".pixels");
    REQUIRE(got.sizes() == wanted.sizes());
    // In byte levels: the filters' integer arithmetic may round a last level differently.
    const torch::Tensor deviation = torch::tensor({0.26862954F, 0.26130258F, 0.27577711F}).view({3, 1, 1});
    const torch::Tensor levels = (got - wanted).abs() * 255 * deviation;
    CHECK(levels.max().item<double>() < 1.01);
    CHECK((levels > 0.5).to(torch::kFloat).mean().item<double>() < 0.01);
  }
}

TEST_CASE("CLIP vision: one grey channel is three equal ones") {
  torch::manual_seed(2);
  const torch::Tensor grey = torch::rand({2, 1, 8, 8}) * 2 - 1;
  CHECK(torch::equal(clip_pixels(grey, 24), clip_pixels(grey.expand({2, 3, 8, 8}), 24)));
}

TEST_CASE("CLIP vision: a folder that is something else is refused by file and name") {
  test::ScratchFolder scratch;
  const auto copy = [&] {
    for (const char* name : {"config.json", "model.safetensors"})
      std::filesystem::copy_file(folder() / name, scratch.path() / name,
                                 std::filesystem::copy_options::overwrite_existing);
  };
  const auto rewrite = [&](const std::string& from, const std::string& to) {
    copy();
    std::string text = read_file(scratch.path() / "config.json");
    text.replace(text.find(from), from.size(), to);
    std::ofstream(scratch.path() / "config.json") << text;
  };
  copy();
  CHECK_NOTHROW((void)load_clip_vision(scratch.path()));
  const auto refused = [&](const char* word) {
    CAPTURE(word);
    CHECK_THROWS_WITH_AS((void)load_clip_vision(scratch.path()), doctest::Contains(word), Error);
  };
  rewrite("\"num_hidden_layers\": 3", "\"num_hidden_layers\": 4");
  refused("vision_model.encoder.layers.3.self_attn.q_proj.weight");
  rewrite("\"image_size\": 24", "\"image_size\": 32");
  refused("position_embedding");
  rewrite("\"patch_size\": 8", "\"patch_size\": -8");
  refused("patch_size");
  std::ofstream(scratch.path() / "config.json") << "[]";
  refused("config.json");
}
