#pragma once
// The vision tower of CLIP (Radford et al. 2021) as transformers stores it, for features of images.
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

namespace guda::worker {

/// Read from a folder with config.json (of CLIPModel, CLIPVisionModel or CLIPVisionModelWithProjection) and
/// model.safetensors; weights of a text tower are passed over. Throws Error naming the file, the key or the tensor that
/// is missing or misshaped. Use from one thread at a time.
class ClipVision {
 public:
  explicit ClipVision(const std::filesystem::path& folder, const at::Device& device = at::kCPU);

  /// Pixels [N, 3, side(), side()] as clip_pixels gives them -> [N, hidden]: the class token after the last norm, or
  /// with `projected` its image features [N, projection]. Not normalised. Throws Error without a projection to use.
  [[nodiscard]] at::Tensor features(const at::Tensor& pixels, bool projected) const;
  [[nodiscard]] std::int64_t side() const noexcept { return side_; }

 private:
  [[nodiscard]] const at::Tensor& weight(const std::string& name) const;
  [[nodiscard]] at::Tensor linear(const at::Tensor& x, const std::string& name) const;
  [[nodiscard]] at::Tensor norm(const at::Tensor& x, const std::string& name) const;
  [[nodiscard]] at::Tensor attention(const at::Tensor& x, const std::string& layer) const;

  std::filesystem::path folder_;
  at::Device device_;
  std::int64_t side_ = 224, patch_ = 32, hidden_ = 768, heads_ = 12, layers_ = 12;
  double eps_ = 1e-5;
  bool quick_gelu_ = true;
  std::map<std::string, at::Tensor> weights_;
};

/// CLIP's preprocessing: shorter side to `side` by Pillow's bicubic filter on bytes (antialiased), centre crop, [0, 1],
/// mean and deviation of CLIP. images float32 [N, 1 or 3, H, W] in [-1, 1], read as bytes; one channel is repeated.
[[nodiscard]] at::Tensor clip_pixels(const at::Tensor& images, std::int64_t side);

}  // namespace guda::worker
