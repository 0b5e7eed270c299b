// Against recorded outputs and gradients of diffusers 0.31 (tests/golden/README.md).
#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include <filesystem>

#include "common/safetensors.hpp"
#include "tests/worker/models/golden_gradients.hpp"
#include "tests/worker/models/golden_weights.hpp"
#include "worker/models/tensor_bytes.hpp"
#include "worker/models/unet2d.hpp"

using namespace guda;
using namespace guda::worker;
namespace fs = std::filesystem;

namespace {

std::vector<fs::path> recorded_models() { return testing::golden_files("unet2d_"); }

struct Recorded {
  explicit Recorded(const fs::path& path)
      : file(path), model(make_unet2d(Json::parse(file.metadata().at("config")), 0)) {
    model->eval();
    testing::fill_golden_weights(*model, std::stoull(file.metadata().at("weight_seed")));
  }
  at::Tensor tensor(const std::string& name) const {
    return file.tensors().contains(name) ? tensor_from(file, name) : at::Tensor();
  }
  at::Tensor forward() { return model(tensor("sample"), tensor("timestep"), tensor("class_labels")); }

  SafetensorsFile file;
  UNet2D model;
};

}  // namespace

TEST_CASE("UNet2D: outputs equal those of diffusers within 1e-5 for every recorded configuration") {
  const auto files = recorded_models();
  REQUIRE(files.size() >= 8);
  for (const fs::path& file : files) {
    CAPTURE(file.filename().string());
    Recorded recorded(file);
    CHECK(testing::relative_error(recorded.forward().detach(), recorded.tensor("out")) < 1e-5);
  }
}

TEST_CASE("UNet2D: gradients of every parameter equal those of diffusers within 1e-4") {
  for (const fs::path& file : recorded_models()) {
    CAPTURE(file.filename().string());
    Recorded recorded(file);
    const at::Tensor loss = at::mse_loss(recorded.forward(), recorded.tensor("target"));
    testing::check_golden_gradients(*recorded.model, loss, recorded.file);
  }
}

TEST_CASE("UNet2D: channels_last input gives the same numbers and a channels_last output") {
  for (const fs::path& file : recorded_models()) {
    CAPTURE(file.filename().string());
    Recorded recorded(file);
    const at::NoGradGuard no_grad;
    const at::Tensor sample = recorded.tensor("sample").contiguous(at::MemoryFormat::ChannelsLast);
    const at::Tensor out = recorded.model(sample, recorded.tensor("timestep"), recorded.tensor("class_labels"));
    CHECK(testing::relative_error(out, recorded.tensor("out")) < 1e-5);
    if (sample.size(1) > 1 && out.size(1) > 1) CHECK(out.is_contiguous(at::MemoryFormat::ChannelsLast));
  }
}
