// Against recorded moments, images and gradients of diffusers 0.31 (tests/golden/generate_autoencoder.py).
#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include <filesystem>

#include "common/files.hpp"
#include "common/safetensors.hpp"
#include "tests/worker/models/golden_gradients.hpp"
#include "tests/worker/models/golden_weights.hpp"
#include "worker/models/autoencoder_kl.hpp"
#include "worker/models/tensor_bytes.hpp"

using namespace guda;
using namespace guda::worker;
namespace fs = std::filesystem;

namespace {

const fs::path kGolden = fs::path(GUDA_SOURCE_DIR) / "tests/golden";

struct RecordedAutoencoder {
  explicit RecordedAutoencoder(const fs::path& path)
      : file(path), model(make_autoencoder_kl(Json::parse(file.metadata().at("config")), 0)) {
    testing::fill_golden_weights(*model, std::stoull(file.metadata().at("weight_seed")));
  }
  at::Tensor tensor(const std::string& name) const { return tensor_from(file, name); }

  SafetensorsFile file;
  AutoencoderKL model;
};

std::vector<fs::path> recorded_autoencoders() { return testing::golden_files("autoencoder_kl_"); }

}  // namespace

TEST_CASE("AutoencoderKL: moments and images equal those of diffusers within 1e-5 for every recorded configuration") {
  const auto files = recorded_autoencoders();
  REQUIRE(files.size() >= 5);
  const at::NoGradGuard no_grad;
  for (const fs::path& file : files) {
    CAPTURE(file.filename().string());
    RecordedAutoencoder recorded(file);
    const LatentMoments moments = recorded.model->encode(recorded.tensor("sample"));
    CHECK(testing::relative_error(moments.mean, recorded.tensor("mean")) < 1e-5);
    CHECK(testing::relative_error(moments.logvar, recorded.tensor("logvar")) < 1e-5);
    CHECK(testing::relative_error(recorded.model->decode(recorded.tensor("latents")), recorded.tensor("decoded")) <
          1e-5);
  }
}

TEST_CASE("AutoencoderKL: gradients of every parameter equal those of diffusers within 1e-4") {
  for (const fs::path& file : recorded_autoencoders()) {
    CAPTURE(file.filename().string());
    RecordedAutoencoder recorded(file);
    const LatentMoments moments = recorded.model->encode(recorded.tensor("sample"));
    const at::Tensor loss =
        at::mse_loss(recorded.model->decode(moments.mean), recorded.tensor("target")) + moments.logvar.square().mean();
    testing::check_golden_gradients(*recorded.model, loss, recorded.file);
  }
}

TEST_CASE("AutoencoderKL: Stable Diffusion 1.5's has diffusers' 83,653,863 parameters, by name and shape") {
  const Json recorded = Json::parse(read_file(kGolden / "autoencoder_kl_sd15.json"));
  AutoencoderKL model = make_autoencoder_kl(recorded.at("config"), 0);
  Json shapes = Json::object();
  std::int64_t parameters = 0;
  for (const auto& p : model->named_parameters()) {
    shapes[p.key()] = std::vector<std::int64_t>(p.value().sizes().begin(), p.value().sizes().end());
    parameters += p.value().numel();
  }
  CHECK(parameters == 83653863);
  CHECK(Json::diff(shapes, recorded.at("shapes")) == Json::array());
}
