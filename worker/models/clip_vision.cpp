#include "worker/models/clip_vision.hpp"

#include <ATen/ATen.h>

#include <algorithm>

#include "common/error.hpp"
#include "worker/models/clip_weights.hpp"
#include "worker/models/seeded_build.hpp"
#include "worker/models/weights.hpp"

namespace guda::worker {
namespace {

struct VisionPartImpl : torch::nn::Module {};
TORCH_MODULE(VisionPart);

}  // namespace

ClipVisionImpl::ClipVisionImpl(const ClipVisionConfig& config, std::uint32_t projection) : side_(config.image_size) {
  const std::int64_t width = config.hidden_size, patches = config.image_size / config.patch_size;
  VisionPart embeddings, vision;
  class_embedding_ = embeddings->register_parameter("class_embedding", at::zeros({width}));
  patch_embedding_ = embeddings->register_module(
      "patch_embedding",
      torch::nn::Conv2d(torch::nn::Conv2dOptions(3, width, config.patch_size).stride(config.patch_size).bias(false)));
  position_embedding_ =
      embeddings->register_module("position_embedding", torch::nn::Embedding(patches * patches + 1, width));
  vision->register_module("embeddings", embeddings);
  pre_norm_ = vision->register_module("pre_layrnorm", clip_norm(config));  // transformers' own spelling
  encoder_ = vision->register_module("encoder", ClipEncoder(config));
  post_norm_ = vision->register_module("post_layernorm", clip_norm(config));
  register_module("vision_model", vision);
  if (projection > 0) {
    projection_ = register_module("visual_projection",
                                  torch::nn::Linear(torch::nn::LinearOptions(width, projection).bias(false)));
  }
}

at::Tensor ClipVisionImpl::features(const at::Tensor& pixels, bool projected) {
  if (projected && !projection_)
    throw Error("CLIP vision: this model has no visual_projection; take a CLIPModel, or `projected: false`");
  const at::NoGradGuard no_grad;
  const at::Tensor patches = patch_embedding_(pixels.to(patch_embedding_->weight.device())).flatten(2).transpose(1, 2);
  const at::Tensor first = class_embedding_.expand({pixels.size(0), 1, patches.size(2)});
  at::Tensor x = pre_norm_(at::cat({first, patches}, 1) + position_embedding_->weight);
  x = encoder_->forward(x, /*causal=*/false, encoder_->layer_count());
  const at::Tensor pooled = post_norm_(x.select(1, 0));
  return (projected ? projection_(pooled) : pooled).cpu();
}

ClipVision load_clip_vision(const std::filesystem::path& folder, const at::Device& device) {
  const auto config = ClipVisionConfig::from_json(read_model_config(folder), (folder / "config.json").string());
  ClipVision model{nullptr};
  build_seeded(0, [&] { model = ClipVision(config, clip_projection_width(folder, ClipTower::vision)); });
  load_clip_weights(*model, folder, ClipTower::vision);
  model->eval();
  model->to(device);
  return model;
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
