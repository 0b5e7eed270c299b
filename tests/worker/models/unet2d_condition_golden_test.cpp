// Against recorded outputs and gradients of diffusers 0.31 (tests/golden/generate_condition.py).
#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include <filesystem>

#include "common/safetensors.hpp"
#include "tests/worker/models/golden_gradients.hpp"
#include "tests/worker/models/golden_weights.hpp"
#include "worker/models/tensor_bytes.hpp"
#include "worker/models/unet2d_condition.hpp"

using namespace guda;
using namespace guda::worker;
namespace fs = std::filesystem;

namespace {

std::vector<fs::path> recorded_models() { return testing::golden_files("unet2dcondition_"); }

struct Recorded {
  explicit Recorded(const fs::path& path)
      : file(path), model(make_unet2d_condition(Json::parse(file.metadata().at("config")), 0)) {
    model->eval();
    testing::fill_golden_weights(*model, std::stoull(file.metadata().at("weight_seed")));
  }
  at::Tensor tensor(const std::string& name) const {
    return file.tensors().contains(name) ? tensor_from(file, name) : at::Tensor();
  }
  at::Tensor forward() {
    return model(tensor("sample"), tensor("timestep"), tensor("context"), tensor("class_labels"));
  }

  SafetensorsFile file;
  UNet2DCondition model;
};

}  // namespace

TEST_CASE("UNet2DCondition: outputs equal those of diffusers within 1e-5 for every recorded configuration") {
  const auto files = recorded_models();
  REQUIRE(files.size() >= 7);
  for (const fs::path& file : files) {
    CAPTURE(file.filename().string());
    Recorded recorded(file);
    CHECK(testing::relative_error(recorded.forward().detach(), recorded.tensor("out")) < 1e-5);
  }
}

TEST_CASE("UNet2DCondition: gradients of every parameter equal those of diffusers within 1e-4") {
  for (const fs::path& file : recorded_models()) {
    CAPTURE(file.filename().string());
    Recorded recorded(file);
    const at::Tensor loss = at::mse_loss(recorded.forward(), recorded.tensor("target"));
    testing::check_golden_gradients(*recorded.model, loss, recorded.file);
  }
}
