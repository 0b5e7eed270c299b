#include "worker/eval_model.hpp"

#include <ATen/ATen.h>
#include <doctest/doctest.h>
#include <stdlib.h>

#include <filesystem>

#include "common/error.hpp"
#include "common/safetensors.hpp"
#include "worker/models/autoencoder_kl.hpp"
#include "worker/models/tensor_bytes.hpp"
#include "worker/models/unet2d.hpp"
#include "worker/models/unet2d_condition.hpp"

using namespace guda;
using namespace guda::worker;
namespace fs = std::filesystem;

namespace {

const Json kConfig = {{"in_channels", 1},
                      {"out_channels", 1},
                      {"block_out_channels", {8, 16}},
                      {"layers_per_block", 1},
                      {"norm_num_groups", 4},
                      {"down_block_types", {"DownBlock2D", "DownBlock2D"}},
                      {"up_block_types", {"UpBlock2D", "UpBlock2D"}}};

struct Workspace {
  Workspace() {
    std::string name = (fs::temp_directory_path() / "guda-eval-XXXXXX").string();
    path = ::mkdtemp(name.data());
    save_unet2d(model, kConfig, path / "model");
    model->eval();
  }
  ~Workspace() { fs::remove_all(path); }
  void write_input(const at::Tensor& sample, const at::Tensor& timestep, const std::string& extra = "") const {
    std::vector<TensorToWrite> tensors{to_write("sample", sample), to_write("timestep", timestep)};
    if (!extra.empty()) tensors.push_back(to_write(extra, timestep));
    write_safetensors(path / "in.safetensors", tensors);
  }

  UNet2D model = make_unet2d(kConfig, 4);
  fs::path path;
};

}  // namespace

TEST_CASE("eval-model: writes the model's output, and the model itself when asked to") {
  const Workspace w;
  const at::Tensor sample = at::randn({3, 1, 8, 8}), timestep = at::tensor({0, 10, 500}, at::kLong);
  w.write_input(sample, timestep);
  CHECK(eval_model(w.path / "model", w.path / "in.safetensors", w.path / "out.safetensors", w.path / "again") == 0);
  const SafetensorsFile out(w.path / "out.safetensors");
  const at::NoGradGuard no_grad;
  UNet2D model = w.model;
  CHECK(at::equal(tensor_from(out, "out"), model(sample, timestep)));
  UNet2D again = load_unet2d(w.path / "again");
  CHECK(at::equal(tensor_from(out, "out"), again(sample, timestep)));
}

TEST_CASE("eval-model: tensors that it does not know, or of the wrong shape, are refused by name") {
  const Workspace w;
  const auto run = [&] {
    static_cast<void>(eval_model(w.path / "model", w.path / "in.safetensors", w.path / "out.safetensors"));
  };
  w.write_input(at::randn({2, 1, 8, 8}), at::tensor({1, 2}, at::kLong), "encoder_hidden_states");
  CHECK_THROWS_WITH_AS(run(), doctest::Contains("'encoder_hidden_states'"), Error);
  w.write_input(at::randn({2, 1, 8, 8}), at::tensor({1, 2, 3}, at::kLong));
  CHECK_THROWS_WITH_AS(run(), doctest::Contains("timestep"), Error);
  write_safetensors(w.path / "in.safetensors", {to_write("timestep", at::tensor({1}, at::kLong))});
  CHECK_THROWS_WITH_AS(run(), doctest::Contains("no tensor 'sample'"), Error);
}

TEST_CASE("eval-model: a conditioned UNet gets its context, and is written back") {
  const Workspace w;
  Json config = kConfig;
  config.update({{"cross_attention_dim", 6},
                 {"attention_head_dim", 2},
                 {"down_block_types", {"CrossAttnDownBlock2D", "DownBlock2D"}},
                 {"up_block_types", {"UpBlock2D", "CrossAttnUpBlock2D"}}});
  UNet2DCondition model = make_unet2d_condition(config, 4);
  save_unet2d_condition(model, config, w.path / "unet");
  const at::Tensor sample = at::randn({2, 1, 8, 8}), timestep = at::tensor({10, 500}, at::kLong);
  const at::Tensor context = at::randn({2, 3, 6});
  write_safetensors(w.path / "in.safetensors", {to_write("sample", sample), to_write("timestep", timestep),
                                                to_write("encoder_hidden_states", context)});
  CHECK(eval_model(w.path / "unet", w.path / "in.safetensors", w.path / "out.safetensors", w.path / "again") == 0);
  const at::NoGradGuard no_grad;
  UNet2DCondition again = load_unet2d_condition(w.path / "again");
  const SafetensorsFile out(w.path / "out.safetensors");
  CHECK(at::equal(tensor_from(out, "out"), again(sample, timestep, context)));
}

TEST_CASE("eval-model: an autoencoder encodes images, decodes latents, and is written back") {
  const Workspace w;
  AutoencoderKL model = make_autoencoder_kl({{"block_out_channels", {8}}, {"norm_num_groups", 4}}, 4);
  save_autoencoder_kl(model, w.path / "vae");
  const at::Tensor sample = at::randn({2, 3, 8, 8}), latents = at::randn({3, 4, 4, 4});
  const auto run = [&](std::vector<TensorToWrite> tensors) {
    write_safetensors(w.path / "in.safetensors", std::move(tensors));
    const int code =
        eval_model(w.path / "vae", w.path / "in.safetensors", w.path / "out.safetensors", w.path / "again");
    CHECK(code == 0);
    return SafetensorsFile(w.path / "out.safetensors");
  };
  const at::NoGradGuard no_grad;
  {
    const SafetensorsFile out = run({to_write("sample", sample), to_write("latents", latents)});
    AutoencoderKL again = load_autoencoder_kl(w.path / "again");
    CHECK(at::equal(tensor_from(out, "mean"), again->encode(sample).mean));
    CHECK(at::equal(tensor_from(out, "logvar"), again->encode(sample).logvar));
    CHECK(at::equal(tensor_from(out, "decoded"), again->decode(latents)));
  }
  CHECK(run({to_write("latents", latents)}).tensors().size() == 1);
  CHECK_THROWS_WITH_AS(run({to_write("timestep", latents)}), doctest::Contains("'timestep' is not one of"), Error);
}
