#include "worker/models/unet2d.hpp"

#include <ATen/ATen.h>
#include <doctest/doctest.h>
#include <stdlib.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "common/error.hpp"
#include "common/files.hpp"
#include "common/safetensors.hpp"
#include "worker/models/tensor_bytes.hpp"

using namespace guda;
using namespace guda::worker;
namespace fs = std::filesystem;

namespace {

Json digits_config() {
  return {{"sample_size", 8},
          {"in_channels", 1},
          {"out_channels", 1},
          {"block_out_channels", {16, 32}},
          {"layers_per_block", 1},
          {"norm_num_groups", 8},
          {"add_attention", false},
          {"down_block_types", {"DownBlock2D", "DownBlock2D"}},
          {"up_block_types", {"UpBlock2D", "UpBlock2D"}}};
}

std::int64_t parameters_of(UNet2D& model) {
  std::int64_t n = 0;
  for (const auto& p : model->parameters()) n += p.numel();
  return n;
}

bool equal_weights(UNet2D& a, UNet2D& b) {
  const auto other = b->named_parameters();
  for (const auto& p : a->named_parameters()) {
    if (!at::equal(p.value(), other[p.key()])) return false;
  }
  return true;
}

class Folder {
 public:
  Folder() {
    std::string name = (fs::temp_directory_path() / "guda-unet2d-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~Folder() { fs::remove_all(path_); }
  [[nodiscard]] const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

std::string error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

/// Rewrites the weights of `folder` after `change` has edited the list.
void edit_weights(const fs::path& folder, const std::function<void(std::vector<TensorToWrite>&)>& change) {
  const fs::path file = folder / "diffusion_pytorch_model.safetensors";
  const SafetensorsFile in(file);
  std::vector<TensorToWrite> tensors;
  for (const auto& [name, t] : in.tensors()) tensors.push_back({name, t.dtype, t.shape, in.bytes(name)});
  change(tensors);
  write_safetensors(file, tensors);
}

}  // namespace

TEST_CASE("UNet2D: the digits model has 159,697 parameters") {
  UNet2D model = make_unet2d(digits_config(), 0);
  CHECK(parameters_of(model) == 159697);
}

TEST_CASE("UNet2D: the CIFAR-10 model of GUDA has 49,062,787 parameters") {
  UNet2D model =
      make_unet2d({{"sample_size", 32},
                   {"layers_per_block", 3},
                   {"block_out_channels", {128, 256, 256, 256}},
                   {"dropout", 0.3},
                   {"down_block_types", {"DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D", "DownBlock2D"}},
                   {"up_block_types", {"UpBlock2D", "AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"}}},
                  0);
  CHECK(parameters_of(model) == 49062787);
}

TEST_CASE("UNet2D: equal seeds give equal weights, other seeds others, and torch's generator is left as it was") {
  at::manual_seed(5);
  const at::Tensor undisturbed = at::randn({20});
  at::manual_seed(5);
  UNet2D a = make_unet2d(digits_config(), 7);
  CHECK(at::equal(at::randn({20}), undisturbed));
  UNet2D b = make_unet2d(digits_config(), 7), c = make_unet2d(digits_config(), 8);
  CHECK(equal_weights(a, b));
  CHECK_FALSE(equal_weights(a, c));
}

TEST_CASE("UNet2D: a scalar timestep is the same as that timestep for every sample") {
  UNet2D model = make_unet2d(digits_config(), 1);
  const at::NoGradGuard no_grad;
  const at::Tensor x = at::randn({5, 1, 8, 8});
  const at::Tensor one = model(x, at::scalar_tensor(30, at::kLong)), all = model(x, at::full({5}, 30, at::kLong));
  CHECK((one - all).abs().max().item<double>() < 1e-5);
}

TEST_CASE("UNet2D: a copy has its own weights") {
  UNet2D model = make_unet2d(digits_config(), 1);
  model->eval();
  UNet2D copy = copy_unet2d(model);
  CHECK(equal_weights(model, copy));
  CHECK_FALSE(copy->is_training());
  const at::NoGradGuard no_grad;
  copy->parameters()[0].add_(1);
  CHECK_FALSE(equal_weights(model, copy));
}

TEST_CASE("UNet2D: dropout acts in training mode only") {
  Json config = digits_config();
  config["dropout"] = 0.5;
  UNet2D model = make_unet2d(config, 1);
  const at::NoGradGuard no_grad;
  const at::Tensor x = at::randn({2, 1, 8, 8}), t = at::tensor({3, 4});
  CHECK_FALSE(at::equal(model(x, t), model(x, t)));
  model->eval();
  CHECK(at::equal(model(x, t), model(x, t)));
}

TEST_CASE("UNet2D: wrong samples and class labels are refused in words") {
  UNet2D model = make_unet2d(digits_config(), 1);
  const at::Tensor t = at::tensor({3});
  CHECK(has(error_of([&] { model(at::zeros({1, 1, 7, 8}), t); }), "multiples of 2"));
  CHECK(has(error_of([&] { model(at::zeros({1, 3, 8, 8}), t); }), "[N, 1, H, W]"));
  CHECK(has(error_of([&] { model(at::zeros({1, 1, 8, 8}), t, at::tensor({1})); }), "no class embedding"));
  Json config = digits_config();
  config["num_class_embeds"] = 3;
  UNet2D conditional = make_unet2d(config, 1);
  CHECK(has(error_of([&] { conditional(at::zeros({1, 1, 8, 8}), t); }), "needs class labels"));
}

TEST_CASE("UNet2D: a saved folder loads to the same weights and the same config") {
  const Folder folder;
  UNet2D model = make_unet2d(digits_config(), 3);
  save_unet2d(model, digits_config(), folder.path() / "m");
  UNet2D loaded = load_unet2d(folder.path() / "m");
  CHECK(equal_weights(model, loaded));
  CHECK(loaded->config().to_json() == model->config().to_json());
  CHECK_FALSE(loaded->is_training());
}

TEST_CASE("UNet2D: saving under a config of another model is our bug") {
  const Folder folder;
  UNet2D model = make_unet2d(digits_config(), 3);
  Json other = digits_config();
  other["act_fn"] = "gelu";
  CHECK_THROWS_AS(save_unet2d(model, other, folder.path() / "m"), Bug);
}

TEST_CASE("UNet2D: missing, unused and misshaped tensors are all listed in one error") {
  const Folder folder;
  UNet2D model = make_unet2d(digits_config(), 3);
  save_unet2d(model, digits_config(), folder.path());
  const std::vector<float> four(4);
  edit_weights(folder.path(), [&](std::vector<TensorToWrite>& tensors) {
    std::erase_if(tensors,
                  [](const TensorToWrite& t) { return t.name == "conv_in.bias" || t.name == "conv_out.bias"; });
    tensors.push_back({"conv_out.bias", Dtype::f32, {4}, std::as_bytes(std::span(four))});
    tensors.push_back({"extra", Dtype::f32, {4}, std::as_bytes(std::span(four))});
  });
  const std::string what = error_of([&] { static_cast<void>(load_unet2d(folder.path())); });
  CHECK(has(what, "1 missing: conv_in.bias"));
  CHECK(has(what, "1 unused: extra"));
  CHECK(has(what, "1 misshaped: conv_out.bias [4] instead of [1]"));
}

TEST_CASE("UNet2D: weights that are NaN or infinite are refused when they are read, all of them listed") {
  const Folder folder;
  UNet2D model = make_unet2d(digits_config(), 3);
  {
    const torch::NoGradGuard no_grad;
    auto parameters = model->named_parameters();
    parameters["conv_in.weight"].view({-1})[5] = NAN;
    parameters["conv_in.weight"].view({-1})[6] = -INFINITY;
    parameters["conv_out.bias"].fill_(NAN);
  }
  save_unet2d(model, digits_config(), folder.path());
  const std::string what = error_of([&] { static_cast<void>(load_unet2d(folder.path())); });
  CHECK(has(what, "NaN or infinite"));
  CHECK(has(what, "conv_in.weight (2 of 144 values)"));
  CHECK(has(what, "conv_out.bias (1 of 1 values)"));
}

TEST_CASE("UNet2D: half-width and double weights are read into float32") {
  for (const at::ScalarType type : {at::kHalf, at::kBFloat16, at::kDouble}) {
    const Folder folder;
    UNet2D model = make_unet2d(digits_config(), 3);
    save_unet2d(model, digits_config(), folder.path());
    std::vector<at::Tensor> alive;
    std::vector<TensorToWrite> tensors;
    for (const auto& p : model->named_parameters()) {
      alive.push_back(p.value().detach().to(type));
      tensors.push_back(to_write(p.key(), alive.back()));
    }
    write_safetensors(folder.path() / "diffusion_pytorch_model.safetensors", tensors);
    UNet2D loaded = load_unet2d(folder.path());
    const auto params = loaded->named_parameters();
    for (const auto& p : model->named_parameters()) {
      CAPTURE(p.key());
      CHECK((params[p.key()].scalar_type() == at::kFloat));
      CHECK(at::equal(params[p.key()], p.value().detach().to(type).to(at::kFloat)));
    }
  }
}

TEST_CASE("UNet2D: sharded weights are read through their index, which cannot lead out of the folder") {
  const Folder folder;
  UNet2D model = make_unet2d(digits_config(), 3);
  save_unet2d(model, digits_config(), folder.path());
  const fs::path whole = folder.path() / "diffusion_pytorch_model.safetensors";
  Json map = Json::object();
  {
    const SafetensorsFile in(whole);
    std::vector<TensorToWrite> halves[2];
    for (const auto& [name, t] : in.tensors()) {
      const std::size_t half = map.size() % 2;
      halves[half].push_back({name, t.dtype, t.shape, in.bytes(name)});
      map[name] = half == 0 ? "a.safetensors" : "b.safetensors";
    }
    write_safetensors(folder.path() / "a.safetensors", halves[0]);
    write_safetensors(folder.path() / "b.safetensors", halves[1]);
  }
  fs::remove(whole);
  const fs::path index = folder.path() / "diffusion_pytorch_model.safetensors.index.json";
  replace_file(index, Json({{"weight_map", map}}).dump());
  UNet2D loaded = load_unet2d(folder.path());
  CHECK(equal_weights(model, loaded));

  for (const char* path : {"../a.safetensors", "/etc/passwd", "x/../../a.safetensors", ""}) {
    map["conv_in.bias"] = path;
    replace_file(index, Json({{"weight_map", map}}).dump());
    CHECK(has(error_of([&] { static_cast<void>(load_unet2d(folder.path())); }), "not a path below the model's folder"));
  }
}

TEST_CASE("UNet2D: attention weights under their names of before diffusers 0.15 are understood") {
  const Folder folder;
  Json config = digits_config();
  config["add_attention"] = true;
  UNet2D model = make_unet2d(config, 3);
  save_unet2d(model, config, folder.path());
  edit_weights(folder.path(), [](std::vector<TensorToWrite>& tensors) {
    for (TensorToWrite& t : tensors) {
      for (const auto& [now, old] : {std::pair{".to_q.", ".query."}, std::pair{".to_k.", ".key."},
                                     std::pair{".to_v.", ".value."}, std::pair{".to_out.0.", ".proj_attn."}}) {
        if (const auto at = t.name.find(now); at != std::string::npos) t.name.replace(at, std::strlen(now), old);
      }
    }
  });
  UNet2D loaded = load_unet2d(folder.path());
  CHECK(equal_weights(model, loaded));
}

TEST_CASE("UNet2D: a folder with pickled weights is refused with the cure") {
  const Folder folder;
  UNet2D model = make_unet2d(digits_config(), 3);
  save_unet2d(model, digits_config(), folder.path());
  fs::rename(folder.path() / "diffusion_pytorch_model.safetensors", folder.path() / "diffusion_pytorch_model.bin");
  CHECK(has(error_of([&] { static_cast<void>(load_unet2d(folder.path())); }), "safe_serialization=True"));
}
