#pragma once
// The vision tower of CLIP (Radford et al. 2021) as transformers stores it, for features of images.
#include <torch/nn/module.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/embedding.h>
#include <torch/nn/pimpl.h>

#include <cstdint>
#include <filesystem>

#include "worker/models/clip_config.hpp"
#include "worker/models/clip_encoder.hpp"

namespace guda::worker {

class ClipVisionImpl : public torch::nn::Module {
 public:
  /// `projection`: width of the image features; 0: the model has none.
  explicit ClipVisionImpl(const ClipVisionConfig& config, std::uint32_t projection = 0);

  /// Pixels [N, 3, side(), side()] as clip_pixels gives them -> [N, hidden]: the class token after the last norm, or
  /// with `projected` its image features [N, projection]. On the CPU, not normalised. Throws Error without a projection
  /// to use.
  [[nodiscard]] at::Tensor features(const at::Tensor& pixels, bool projected);
  [[nodiscard]] std::int64_t side() const noexcept { return side_; }

 private:
  std::int64_t side_;
  torch::nn::Conv2d patch_embedding_{nullptr};
  torch::nn::Embedding position_embedding_{nullptr};
  at::Tensor class_embedding_;
  ClipEncoder encoder_{nullptr};
  torch::nn::LayerNorm pre_norm_{nullptr}, post_norm_{nullptr};
  torch::nn::Linear projection_{nullptr};
};
TORCH_MODULE(ClipVision);

/// From the folder of a CLIPModel, CLIPVisionModel or CLIPVisionModelWithProjection (config.json, model.safetensors or
/// its shards); a text tower is passed over. Throws Error listing what does not fit.
[[nodiscard]] ClipVision load_clip_vision(const std::filesystem::path& folder, const at::Device& device = at::kCPU);

/// CLIP's preprocessing: shorter side to `side` by Pillow's bicubic filter on bytes (antialiased), centre crop, [0, 1],
/// mean and deviation of CLIP. images float32 [N, 1 or 3, H, W] in [-1, 1], read as bytes; one channel is repeated.
[[nodiscard]] at::Tensor clip_pixels(const at::Tensor& images, std::int64_t side);

}  // namespace guda::worker
