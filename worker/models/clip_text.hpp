#pragma once
// The text tower of CLIP as transformers 4.46 stores and computes it: Stable Diffusion's text encoder.
#include <torch/nn/module.h>
#include <torch/nn/modules/embedding.h>
#include <torch/nn/pimpl.h>

#include <cstdint>
#include <filesystem>
#include <vector>

#include "worker/models/clip_config.hpp"
#include "worker/models/clip_encoder.hpp"

namespace guda::worker {

struct ClipTextOutput {
  at::Tensor last_hidden_state;           ///< [N, L, hidden], after the final norm
  at::Tensor pooler_output;               ///< [N, hidden]: its row at the end token
  std::vector<at::Tensor> hidden_states;  ///< embeddings, then what each layer leaves; before the final norm
};

class ClipTextImpl : public torch::nn::Module {
 public:
  /// `projection`: width of the text features; 0: the model has none.
  explicit ClipTextImpl(ClipTextConfig config, std::uint32_t projection = 0);

  /// ids [N, L] integer, L at most max_position_embeddings; Error for other shapes and for ids beyond the vocabulary.
  /// Attention is causal, so what follows the end token changes neither the pooled output nor anything before it; there
  /// is no mask of padding, as in Stable Diffusion.
  ClipTextOutput forward(const at::Tensor& ids);

  /// What Stable Diffusion's UNet is conditioned on, [N, L, hidden]: the last layer but `skip`, after the final norm.
  /// skip 0 is last_hidden_state (SD 1.x; SD 2.x, whose 23 layers are the first of 24); diffusers' clip_skip.
  at::Tensor embed(const at::Tensor& ids, std::uint32_t skip = 0);

  /// Text features [N, projection]; Error without a projection. Not normalised.
  at::Tensor project(const at::Tensor& pooled);

  [[nodiscard]] const ClipTextConfig& config() const noexcept { return config_; }
  [[nodiscard]] std::uint32_t projection() const noexcept { return projection_width_; }

 private:
  [[nodiscard]] at::Tensor embeddings(const at::Tensor& ids);

  ClipTextConfig config_;
  std::uint32_t projection_width_;
  torch::nn::Embedding token_embedding_{nullptr}, position_embedding_{nullptr};
  ClipEncoder encoder_{nullptr};
  torch::nn::LayerNorm final_layer_norm_{nullptr};
  torch::nn::Linear text_projection_{nullptr};
};
TORCH_MODULE(ClipText);

/// A model with transformers' initial weights, a function of the seed.
[[nodiscard]] ClipText make_clip_text(const ClipTextConfig& config, std::uint32_t projection, std::uint64_t init_seed);

/// From the folder of a CLIPTextModel, CLIPTextModelWithProjection or CLIPModel (config.json, model.safetensors or its
/// shards), in eval mode on the CPU; a vision tower is passed over. Throws Error listing what does not fit.
[[nodiscard]] ClipText load_clip_text(const std::filesystem::path& folder);

/// Writes a folder that transformers loads as CLIPTextModel or CLIPTextModelWithProjection.
void save_clip_text(ClipText& model, const std::filesystem::path& folder);

}  // namespace guda::worker
