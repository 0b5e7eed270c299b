#pragma once
// The transformer that both towers of CLIP (Radford et al. 2021) are made of, named as inside transformers' state dict.
#include <torch/nn/module.h>
#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>
#include <torch/nn/pimpl.h>

#include <functional>

#include "worker/models/clip_config.hpp"

namespace guda::worker {

/// A LayerNorm over the width of a tower.
[[nodiscard]] torch::nn::LayerNorm clip_norm(const ClipEncoderConfig& config);

class ClipLayerImpl : public torch::nn::Module {
 public:
  explicit ClipLayerImpl(const ClipEncoderConfig& config);
  /// x [N, L, hidden]; causal: a token sees itself and those before it.
  at::Tensor forward(const at::Tensor& x, bool causal);

 private:
  std::int64_t heads_;
  bool quick_gelu_;
  torch::nn::LayerNorm layer_norm1_{nullptr}, layer_norm2_{nullptr};
  torch::nn::Linear q_proj_{nullptr}, k_proj_{nullptr}, v_proj_{nullptr}, out_proj_{nullptr};
  torch::nn::Linear fc1_{nullptr}, fc2_{nullptr};
};
TORCH_MODULE(ClipLayer);

class ClipEncoderImpl : public torch::nn::Module {
 public:
  explicit ClipEncoderImpl(const ClipEncoderConfig& config);
  /// The first `layers` layers on x [N, L, hidden]; `after` sees what each of them leaves.
  at::Tensor forward(at::Tensor x, bool causal, std::size_t layers,
                     const std::function<void(const at::Tensor&)>& after = {});
  [[nodiscard]] std::size_t layer_count() const { return layers_->size(); }

 private:
  torch::nn::ModuleList layers_{nullptr};
};
TORCH_MODULE(ClipEncoder);

}  // namespace guda::worker
