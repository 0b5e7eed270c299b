#include "worker/eval_model.hpp"

#include <ATen/ATen.h>
#include <doctest/doctest.h>
#include <stdlib.h>

#include <filesystem>

#include "common/error.hpp"
#include "common/safetensors.hpp"
#include "worker/models/tensor_bytes.hpp"
#include "worker/models/unet2d.hpp"

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
