#include "worker/eval_model.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <string_view>

#include "common/error.hpp"
#include "common/files.hpp"
#include "common/json.hpp"
#include "common/safetensors.hpp"
#include "common/text/clip_tokenizer.hpp"
#include "worker/models/autoencoder_kl.hpp"
#include "worker/models/clip_text.hpp"
#include "worker/models/lora.hpp"
#include "worker/models/tensor_bytes.hpp"
#include "worker/models/unet2d.hpp"
#include "worker/models/unet2d_condition.hpp"
#include "worker/models/weights.hpp"

namespace guda::worker {

namespace {

namespace fs = std::filesystem;

bool is_clip(const Json& config) {
  return config.is_object() && config.contains("model_type") && config["model_type"].is_string() &&
         config["model_type"].get<std::string>().starts_with("clip");
}

bool is_class(const Json& config, const char* name) {
  return config.is_object() && config.contains("_class_name") && config["_class_name"] == name;
}

at::Tensor tensor_or_none(const SafetensorsFile& in, const std::string& name) {
  return in.tensors().contains(name) ? tensor_from(in, name) : at::Tensor();
}

void require_names(const SafetensorsFile& in, std::initializer_list<std::string_view> known) {
  for (const auto& [name, entry] : in.tensors()) {
    if (std::find(known.begin(), known.end(), name) == known.end())
      throw Error(fmt::format("{}: tensor '{}' is not one of {}", in.path().string(), name, fmt::join(known, ", ")));
  }
}

int eval_clip_text(const fs::path& folder, const SafetensorsFile& in, const fs::path& output, const fs::path& save) {
  require_names(in, {"input_ids"});
  ClipText model = load_clip_text(folder);
  const at::NoGradGuard no_grad;
  const ClipTextOutput out = model(tensor_from(in, "input_ids"));
  const at::Tensor hidden = at::stack(out.hidden_states), last = out.last_hidden_state.contiguous();
  const at::Tensor pooled = out.pooler_output.contiguous(), penultimate = model->embed(tensor_from(in, "input_ids"), 1);
  at::Tensor features;
  std::vector<TensorToWrite> tensors{to_write("last_hidden_state", last), to_write("pooler_output", pooled),
                                     to_write("hidden_states", hidden), to_write("penultimate", penultimate)};
  if (model->projection() > 0) {
    features = model->project(pooled).contiguous();
    tensors.push_back(to_write("text_embeds", features));
  }
  write_safetensors(output, std::move(tensors));
  if (!save.empty()) save_clip_text(model, save);
  return 0;
}

/// UNet2D or UNet2DCondition: `predict` calls it.
template <class Model, class Predict>
at::Tensor eval_unet(Model& model, const SafetensorsFile& in, const Predict& predict) {
  const at::NoGradGuard no_grad;
  const at::Tensor sample = tensor_from(in, "sample").to(at::kFloat);
  const at::Tensor timestep = tensor_from(in, "timestep");
  if (timestep.dim() > 1 || (timestep.dim() == 1 && timestep.size(0) != 1 && timestep.size(0) != sample.size(0))) {
    throw Error(in.path().string() + ": timestep is neither a scalar nor one number per sample");
  }
  return predict(model, sample, timestep, tensor_or_none(in, "class_labels")).contiguous();
}

int eval_unet2d(const fs::path& folder, const SafetensorsFile& in, const fs::path& output, const fs::path& save) {
  require_names(in, {"sample", "timestep", "class_labels"});
  UNet2D model = load_unet2d(folder);
  const at::Tensor out = eval_unet(model, in, [](UNet2D& unet, const auto&... inputs) { return unet(inputs...); });
  write_safetensors(output, {to_write("out", out)});
  if (!save.empty()) save_unet2d(model, model->config().to_json(), save);
  return 0;
}

int eval_unet2d_condition(const fs::path& folder, const SafetensorsFile& in, const fs::path& output,
                          const fs::path& save, const fs::path& lora) {
  require_names(in, {"sample", "timestep", "encoder_hidden_states", "class_labels"});
  UNet2DCondition model = load_unet2d_condition(folder);
  if (!lora.empty()) merge_lora(*model, read_lora(lora), lora.string());
  at::Tensor context = tensor_or_none(in, "encoder_hidden_states");
  if (context.defined()) context = context.to(at::kFloat);
  const at::Tensor out = eval_unet(
      model, in, [&](UNet2DCondition& unet, const at::Tensor& x, const at::Tensor& t, const at::Tensor& labels) {
        return unet(x, t, context, labels);
      });
  write_safetensors(output, {to_write("out", out)});
  if (!save.empty()) save_unet2d_condition(model, model->config().to_json(), save);
  return 0;
}

int eval_autoencoder_kl(const fs::path& folder, const SafetensorsFile& in, const fs::path& output,
                        const fs::path& save) {
  require_names(in, {"sample", "latents"});
  AutoencoderKL model = load_autoencoder_kl(folder);
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> alive;
  std::vector<TensorToWrite> tensors;
  const auto keep = [&](const char* name, const at::Tensor& tensor) {
    alive.push_back(tensor.contiguous());
    tensors.push_back(to_write(name, alive.back()));
  };
  if (const at::Tensor sample = tensor_or_none(in, "sample"); sample.defined()) {
    const LatentMoments moments = model->encode(sample.to(at::kFloat));
    keep("mean", moments.mean);
    keep("logvar", moments.logvar);
  }
  if (const at::Tensor latents = tensor_or_none(in, "latents"); latents.defined())
    keep("decoded", model->decode(latents.to(at::kFloat)));
  write_safetensors(output, std::move(tensors));
  if (!save.empty()) save_autoencoder_kl(model, save);
  return 0;
}

}  // namespace

int eval_model(const fs::path& folder, const fs::path& input, const fs::path& output, const fs::path& save,
               const fs::path& lora) {
  const SafetensorsFile in(input);
  const Json config = read_model_config(folder);
  if (!lora.empty() && !is_class(config, "UNet2DConditionModel"))
    throw Error("--lora: " + folder.string() + " holds no UNet2DConditionModel");
  if (is_clip(config)) return eval_clip_text(folder, in, output, save);
  if (is_class(config, "AutoencoderKL")) return eval_autoencoder_kl(folder, in, output, save);
  if (is_class(config, "UNet2DConditionModel")) return eval_unet2d_condition(folder, in, output, save, lora);
  return eval_unet2d(folder, in, output, save);
}

int eval_tokenizer(const fs::path& place, const fs::path& input, const fs::path& output) {
  const Json texts = Json::parse(read_file(input), nullptr, /*allow_exceptions=*/false);
  const auto is_text = [](const Json& text) { return text.is_string(); };
  if (!texts.is_array() || !std::all_of(texts.begin(), texts.end(), is_text))
    throw Error(input.string() + ": is not a JSON list of texts");
  const text::ClipTokenizer tokenizer(place);
  Json ids = Json::array();
  for (const Json& text : texts) ids.push_back(tokenizer.encode(text.get_ref<const std::string&>()));
  replace_file(output, ids.dump() + "\n", /*durable=*/false);
  return 0;
}

}  // namespace guda::worker
