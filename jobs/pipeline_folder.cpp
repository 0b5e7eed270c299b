#include "jobs/pipeline_folder.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <system_error>

#include "common/error.hpp"
#include "common/files.hpp"
#include "common/safetensors.hpp"
#include "jobs/autoencoder_model.hpp"
#include "jobs/styled_digits.hpp"
#include "jobs/text_tokens.hpp"

namespace guda::jobs {
namespace {
namespace fs = std::filesystem;

struct PipelinePart {
  const char* folder;
  const char* model;  ///< nullptr: a tokenizer
};

constexpr std::array kPipelineParts{PipelinePart{"unet", "UNet2DConditionModel"}, PipelinePart{"vae", "AutoencoderKL"},
                                    PipelinePart{"text_encoder", "CLIPTextModel"}, PipelinePart{"tokenizer", nullptr}};

bool there(const fs::path& path) {
  std::error_code failed;
  return fs::exists(path, failed);
}

/// Diffusers says `_class_name`, transformers `architectures`.
std::string class_of(const Json& config) {
  if (const auto name = config.find("_class_name"); name != config.end() && name->is_string()) return *name;
  const auto names = config.find("architectures");
  const bool one = names != config.end() && names->is_array() && !names->empty() && names->front().is_string();
  return one ? names->front().get<std::string>() : "";
}

void check_config(const fs::path& file, const std::string& model, std::vector<std::string>& faults) {
  if (!there(file)) return faults.push_back(fmt::format("there is no {}", file.string()));
  const Json config = Json::parse(read_file(file), nullptr, /*allow_exceptions=*/false);
  if (!config.is_object()) return faults.push_back(file.string() + ": is not JSON; save the pipeline again");
  const std::string found = class_of(config);
  if (!found.empty() && !found.starts_with(model))
    faults.push_back(fmt::format("{}: is of the class {}, wanted is {}", file.string(), found, model));
}

void check_weights(const fs::path& folder, std::vector<std::string>& faults) {
  bool any = false;
  std::error_code failed;
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder, failed)) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  for (const fs::path& file : files) {
    if (file.extension() != ".safetensors") continue;
    any = true;
    try {
      static_cast<void>(SafetensorsFile(file));
    } catch (const Error& error) {
      faults.emplace_back(error.what());
    }
  }
  if (!any)
    faults.push_back(
        fmt::format("{}: holds no *.safetensors; save the pipeline again with diffusers' "
                    "safe_serialization=True",
                    folder.string()));
}

/// CLIP ViT-L/14's for a folder.
double text_encoder_parameters(const PipelineConfig& pipeline) {
  constexpr double kViTL14 = 123'060'480;
  if (!pipeline.folder.empty()) return kViTL14;
  const TextEncoderConfig& t = pipeline.text_encoder;
  const double width = t.hidden_size;
  return 12 * width * width * t.layers + 1'500 * width;  // a layer's matrices; some hundreds of tokens
}

}  // namespace

std::vector<std::string> faults_of_pipeline(const fs::path& folder) {
  if (!there(folder)) return {fmt::format("there is no {}", folder.string())};
  std::vector<std::string> faults;
  for (const PipelinePart& part : kPipelineParts) {
    const fs::path own = folder / part.folder;
    if (!there(own)) {
      faults.push_back(fmt::format("there is no {}", own.string()));
    } else if (part.model != nullptr) {
      check_config(own / "config.json", part.model, faults);
      check_weights(own, faults);
    } else {
      for (const char* file : {"vocab.json", "merges.txt"}) {
        if (!there(own / file)) faults.push_back(fmt::format("there is no {}", (own / file).string()));
      }
    }
  }
  return faults;
}

Json stable_diffusion_unet() {
  return {{"_class_name", "UNet2DConditionModel"},
          {"sample_size", 64},
          {"in_channels", 4},
          {"out_channels", 4},
          {"down_block_types", {"CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"}},
          {"up_block_types", {"UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"}},
          {"block_out_channels", {320, 640, 1280, 1280}},
          {"layers_per_block", 2},
          {"cross_attention_dim", 768},
          {"attention_head_dim", 8},
          {"norm_num_groups", 32}};
}

Json stable_diffusion_autoencoder() {
  return {{"_class_name", "AutoencoderKL"},
          {"in_channels", 3},
          {"out_channels", 3},
          {"block_out_channels", {128, 256, 512, 512}},
          {"down_block_types", std::vector<std::string>(4, "DownEncoderBlock2D")},
          {"up_block_types", std::vector<std::string>(4, "UpDecoderBlock2D")},
          {"latent_channels", 4},
          {"layers_per_block", 2},
          {"norm_num_groups", 32},
          {"sample_size", 512},
          {"scaling_factor", 0.18215}};
}

Json autoencoder_of(const Experiment& experiment, const std::array<std::uint32_t, 3>& shape) {
  const PipelineConfig& p = experiment.pipeline;
  if (p.folder.empty()) return p.autoencoder.empty() ? Json() : autoencoder_model(p.autoencoder, shape);
  Json config = stable_diffusion_autoencoder();
  if (const fs::path file = p.folder / "vae" / "config.json"; there(file)) {
    const Json read = Json::parse(read_file(file), nullptr, /*allow_exceptions=*/false);
    if (!read.is_object()) throw Error(file.string() + ": is not JSON; save the pipeline again");
    config.update(read);
  }
  config["sample_size"] = shape[1];
  return config;
}

FrozenParts frozen_parts(const Experiment& experiment) {
  const DatasetConfig& data = experiment.dataset;
  if (experiment.pipeline.empty()) return {};
  const std::uint32_t side = data.of_pictures() ? data.side : kStyledDigitSide;
  return {autoencoder_of(experiment, {data.of_pictures() ? 3U : 1U, side, side}),
          text_encoder_parameters(experiment.pipeline), text_tokens(experiment.pipeline)};
}

}  // namespace guda::jobs
