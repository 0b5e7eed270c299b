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
#include "worker/models/clip_text.hpp"
#include "worker/models/tensor_bytes.hpp"
#include "worker/models/unet2d.hpp"
#include "worker/models/weights.hpp"

namespace guda::worker {

namespace {

namespace fs = std::filesystem;

bool is_clip(const Json& config) {
  return config.is_object() && config.contains("model_type") && config["model_type"].is_string() &&
         config["model_type"].get<std::string>().starts_with("clip");
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

}  // namespace

int eval_model(const fs::path& folder, const fs::path& input, const fs::path& output, const fs::path& save) {
  const SafetensorsFile in(input);
  if (is_clip(read_model_config(folder))) return eval_clip_text(folder, in, output, save);
  require_names(in, {"sample", "timestep", "class_labels"});
  UNet2D model = load_unet2d(folder);
  const at::NoGradGuard no_grad;
  const at::Tensor sample = tensor_from(in, "sample").to(at::kFloat);
  at::Tensor timestep = tensor_from(in, "timestep");
  if (timestep.dim() > 1 || (timestep.dim() == 1 && timestep.size(0) != 1 && timestep.size(0) != sample.size(0))) {
    throw Error(input.string() + ": timestep is neither a scalar nor one number per sample");
  }
  at::Tensor labels;
  if (in.tensors().contains("class_labels")) labels = tensor_from(in, "class_labels");
  const at::Tensor out = model(sample, timestep, labels).contiguous();
  write_safetensors(output, {to_write("out", out)});
  if (!save.empty()) save_unet2d(model, model->config().to_json(), save);
  return 0;
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
