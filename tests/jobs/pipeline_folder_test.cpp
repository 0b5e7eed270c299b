// A diffusers pipeline's folder before a job is paid for.
#include "jobs/pipeline_folder.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "common/config/issues.hpp"
#include "common/error.hpp"
#include "common/files.hpp"
#include "common/safetensors.hpp"
#include "jobs/experiment_file.hpp"
#include "jobs/memory.hpp"
#include "tests/support/scratch_folder.hpp"

using namespace guda;
using namespace guda::jobs;
namespace fs = std::filesystem;

namespace {

struct Pipeline {
  test::ScratchFolder scratch;
  fs::path folder = scratch / "pipeline";

  Pipeline() {
    for (const auto& [part, config] : {std::pair{"unet", stable_diffusion_unet()},
                                       {"vae", stable_diffusion_autoencoder()},
                                       {"text_encoder", Json{{"architectures", {"CLIPTextModel"}}}}}) {
      fs::create_directories(folder / part);
      write(fs::path(part) / "config.json", config.dump());
      write_safetensors(folder / part / "model.safetensors", {});
    }
    fs::create_directories(folder / "tokenizer");
    write("tokenizer/vocab.json", "{}");
    write("tokenizer/merges.txt", "");
  }
  void write(const fs::path& file, const std::string& text) const { replace_file(folder / file, text, false); }
  [[nodiscard]] bool faulty(const std::string& what) const {
    const auto faults = faults_of_pipeline(folder);
    return std::any_of(faults.begin(), faults.end(),
                       [&](const std::string& fault) { return fault.find(what) != std::string::npos; });
  }
};

}  // namespace

TEST_CASE("pipeline folder: a whole one has no fault") { CHECK(faults_of_pipeline(Pipeline().folder).empty()); }

TEST_CASE("pipeline folder: parts that are missing are listed, all at once") {
  const Pipeline pipeline;
  fs::remove_all(pipeline.folder / "vae");
  fs::remove(pipeline.folder / "tokenizer/merges.txt");
  fs::remove(pipeline.folder / "text_encoder/config.json");
  fs::remove(pipeline.folder / "unet/model.safetensors");
  CHECK(faults_of_pipeline(pipeline.folder).size() == 4);
  CHECK(pipeline.faulty("there is no " + (pipeline.folder / "vae").string()));
  CHECK(pipeline.faulty("there is no " + (pipeline.folder / "tokenizer/merges.txt").string()));
  CHECK(pipeline.faulty("there is no " + (pipeline.folder / "text_encoder/config.json").string()));
  CHECK(pipeline.faulty("unet: holds no *.safetensors"));
  CHECK(faults_of_pipeline("/nowhere") == std::vector<std::string>{"there is no /nowhere"});
}

TEST_CASE("pipeline folder: a config of another class or that is no JSON is refused") {
  const Pipeline pipeline;
  pipeline.write("unet/config.json", R"({"_class_name": "UNet2DModel"})");
  pipeline.write("vae/config.json", "{");
  pipeline.write("text_encoder/config.json", R"({"architectures": ["T5EncoderModel"]})");
  CHECK(pipeline.faulty("unet/config.json: is of the class UNet2DModel, wanted is UNet2DConditionModel"));
  CHECK(pipeline.faulty("vae/config.json: is not JSON"));
  CHECK(pipeline.faulty("text_encoder/config.json: is of the class T5EncoderModel, wanted is CLIPTextModel"));
}

TEST_CASE(
    "pipeline folder: weights that are cut off, or whose header is longer than the file, are found by their header") {
  const Pipeline pipeline;
  const std::string whole = read_file(pipeline.folder / "unet/model.safetensors");
  pipeline.write("unet/model.safetensors", whole.substr(0, 4));
  CHECK(pipeline.faulty("unet/model.safetensors"));
  std::string header(8, '\0');
  header[1] = '\x10';  // 4,096 bytes of header
  pipeline.write("unet/model.safetensors", header + "{}");
  CHECK(pipeline.faulty("unet/model.safetensors"));
  CHECK(pipeline.faulty("truncated"));
  CHECK(faults_of_pipeline(pipeline.folder).size() == 1);
}

TEST_CASE("pipeline folder: its faults are issues of the experiment at pipeline.folder") {
  const Pipeline pipeline;
  pipeline.write("unet/config.json", R"({"_class_name": "UNet2DModel"})");
  fs::remove_all(pipeline.folder / "tokenizer");
  try {
    (void)read_experiment(
        "dataset: {kind: styled_digits, train: 160}\n"
        "pipeline: {folder: " +
            pipeline.folder.string() +
            "}\n"
            "queries: [{kind: held_out}]\nmethods: [{method: logo}, {method: random}]\n",
        "exp.yaml");
    FAIL("accepted");
  } catch (const config::ConfigError& error) {
    CHECK(error.issues.size() == 2);
    for (const auto& issue : error.issues) CHECK(issue.key == "pipeline.folder");
    CHECK(std::string(error.what()).find("exp.yaml:2:") != std::string::npos);
  }
}

TEST_CASE("stable diffusion: its known configs have the published numbers of parameters") {
  CHECK(unet2d_parameters(stable_diffusion_unet()) == 859'520'964);
  CHECK(unet2d_parameters(stable_diffusion_autoencoder()) == doctest::Approx(83'653'863).epsilon(1e-4));
  Json recorded =
      Json::parse(read_file(fs::path(GUDA_SOURCE_DIR) / "tests/golden/autoencoder_kl_sd15.json")).at("config");
  for (const auto& [key, value] : recorded.items())
    if (key != "act_fn") CHECK(stable_diffusion_autoencoder().at(key) == value);
}

TEST_CASE("pipeline folder: the autoencoder is the folder's at the size of the pictures, or Stable Diffusion's") {
  const Pipeline pipeline;
  pipeline.write("vae/config.json", R"({"_class_name": "AutoencoderKL", "latent_channels": 16, "sample_size": 512})");
  Experiment e;
  CHECK(autoencoder_of(e, {3, 8, 8}).is_null());
  e.pipeline.folder = pipeline.folder;
  CHECK(autoencoder_of(e, {3, 256, 256}).at("latent_channels") == 16);
  CHECK(autoencoder_of(e, {3, 256, 256}).at("sample_size") == 256);
  e.pipeline.folder = "/nowhere";
  CHECK(autoencoder_of(e, {3, 512, 512}) == stable_diffusion_autoencoder());
}
