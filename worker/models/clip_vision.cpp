#include "worker/models/clip_vision.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>

#include "common/error.hpp"
#include "common/files.hpp"
#include "common/json.hpp"
#include "worker/models/tensor_bytes.hpp"

namespace guda::worker {
namespace {

Json read_config(const std::filesystem::path& file) {
  const Json json = Json::parse(read_file(file), nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) throw Error(file.string() + ": is not a JSON object; take the folder that transformers saved");
  const auto vision = json.find("vision_config");
  return vision != json.end() && vision->is_object() ? *vision : json;
}

/// A whole number of a config; transformers leaves out what has its default.
std::int64_t number(const Json& config, const char* key, std::int64_t usual, const std::filesystem::path& file) {
  constexpr std::int64_t kMost = 65536;
  const auto found = config.find(key);
  if (found == config.end()) return usual;
  if (!found->is_number_integer() || found->get<std::int64_t>() < 1 || found->get<std::int64_t>() > kMost)
    throw Error(fmt::format("{}: {}: wants a number from 1 to {}, not {}", file.string(), key, kMost, found->dump()));
  return found->get<std::int64_t>();
}

}  // namespace

ClipVision::ClipVision(const std::filesystem::path& folder, const at::Device& device)
    : folder_(folder), device_(device) {
  const std::filesystem::path file = folder / "config.json";
  const Json config = read_config(file);
  side_ = number(config, "image_size", side_, file);
  patch_ = number(config, "patch_size", patch_, file);
  hidden_ = number(config, "hidden_size", hidden_, file);
  heads_ = number(config, "num_attention_heads", heads_, file);
  layers_ = number(config, "num_hidden_layers", layers_, file);
  eps_ = config.value("layer_norm_eps", eps_);
  const std::string activation = config.value("hidden_act", "quick_gelu");
  if (activation != "quick_gelu" && activation != "gelu")
    throw Error(fmt::format("{}: hidden_act: '{}' is not quick_gelu or gelu", file.string(), activation));
  quick_gelu_ = activation == "quick_gelu";
  if (hidden_ % heads_ != 0 || side_ < patch_)
    throw Error(file.string() +
                ": hidden_size must be a multiple of num_attention_heads, image_size at least patch_size");
  const SafetensorsFile stored(folder / "model.safetensors");
  for (const auto& [name, entry] : stored.tensors()) {
    if (!name.starts_with("vision_model.") && name != "visual_projection.weight") continue;
    if (entry.dtype == Dtype::i64) continue;  // position ids of old versions
    weights_[name] = tensor_from(stored, name).to(device, at::kFloat, /*non_blocking=*/false, /*copy=*/true);
  }
  const std::int64_t tokens = (side_ / patch_) * (side_ / patch_) + 1;
  const auto require = [&](const char* name, std::vector<std::int64_t> shape) {
    if (weight(name).sizes() != at::IntArrayRef(shape))
      throw Error(fmt::format("{}: {} does not have the shape that config.json says", folder.string(), name));
  };
  require("vision_model.embeddings.patch_embedding.weight", {hidden_, 3, patch_, patch_});
  require("vision_model.embeddings.position_embedding.weight", {tokens, hidden_});
  require("vision_model.embeddings.class_embedding", {hidden_});
}

const at::Tensor& ClipVision::weight(const std::string& name) const {
  const auto found = weights_.find(name);
  if (found == weights_.end())
    throw Error((folder_ / "model.safetensors").string() + ": has no tensor " + name +
                "; take a folder of a CLIP model that transformers saved");
  return found->second;
}

at::Tensor ClipVision::linear(const at::Tensor& x, const std::string& name) const {
  return at::linear(x, weight(name + ".weight"), weight(name + ".bias"));
}

at::Tensor ClipVision::norm(const at::Tensor& x, const std::string& name) const {
  return at::layer_norm(x, {hidden_}, weight(name + ".weight"), weight(name + ".bias"), eps_);
}

at::Tensor ClipVision::attention(const at::Tensor& x, const std::string& layer) const {
  const auto split = [&](const char* part) {
    return linear(x, layer + part).view({x.size(0), -1, heads_, hidden_ / heads_}).transpose(1, 2);
  };
  const at::Tensor mixed = at::scaled_dot_product_attention(split(".q_proj"), split(".k_proj"), split(".v_proj"));
  return linear(mixed.transpose(1, 2).reshape({x.size(0), -1, hidden_}), layer + ".out_proj");
}

at::Tensor ClipVision::features(const at::Tensor& pixels, bool projected) const {
  const at::NoGradGuard no_grad;
  const at::Tensor patches =
      at::conv2d(pixels.to(device_), weight("vision_model.embeddings.patch_embedding.weight"), {}, patch_)
          .flatten(2)
          .transpose(1, 2);
  const at::Tensor first = weight("vision_model.embeddings.class_embedding").expand({pixels.size(0), 1, hidden_});
  at::Tensor x = at::cat({first, patches}, 1) + weight("vision_model.embeddings.position_embedding.weight");
  x = norm(x, "vision_model.pre_layrnorm");  // transformers' own spelling
  for (std::int64_t i = 0; i < layers_; ++i) {
    const std::string layer = fmt::format("vision_model.encoder.layers.{}", i);
    x = x + attention(norm(x, layer + ".layer_norm1"), layer + ".self_attn");
    at::Tensor h = linear(norm(x, layer + ".layer_norm2"), layer + ".mlp.fc1");
    h = quick_gelu_ ? h * at::sigmoid(1.702 * h) : at::gelu(h);
    x = x + linear(h, layer + ".mlp.fc2");
  }
  const at::Tensor pooled = norm(x.select(1, 0), "vision_model.post_layernorm");
  return (projected ? at::linear(pooled, weight("visual_projection.weight")) : pooled).cpu();
}

at::Tensor clip_pixels(const at::Tensor& images, std::int64_t side) {
  const at::NoGradGuard no_grad;
  at::Tensor bytes = ((images + 1) * 127.5).round().clamp(0, 255).to(at::kByte);
  if (bytes.size(1) == 1) bytes = bytes.expand({-1, 3, -1, -1});
  const std::int64_t height = bytes.size(2), width = bytes.size(3), shorter = std::min(height, width);
  const std::int64_t tall = height == shorter ? side : side * height / shorter;
  const std::int64_t wide = width == shorter ? side : side * width / shorter;
  bytes = at::_upsample_bicubic2d_aa(bytes.contiguous(at::MemoryFormat::ChannelsLast), {tall, wide},
                                     /*align_corners=*/false, std::nullopt, std::nullopt);
  bytes = bytes.narrow(2, (tall - side) / 2, side).narrow(3, (wide - side) / 2, side);
  const auto channel = [&](std::initializer_list<float> values) {
    return at::tensor(at::ArrayRef<float>(values), at::kFloat).view({1, 3, 1, 1});
  };
  return ((bytes.to(at::kFloat) / 255 - channel({0.48145466F, 0.4578275F, 0.40821073F})) /
          channel({0.26862954F, 0.26130258F, 0.27577711F}))
      .contiguous();
}

}  // namespace guda::worker
