#pragma once
// Transformer2DModel of diffusers 0.31 over the pixels of an image, with cross-attention to a context: the attention of
// UNet2DConditionModel's CrossAttn blocks. Named and registered as inside diffusers' state dict.
#include <torch/nn/module.h>
#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>
#include <torch/nn/pimpl.h>

#include <cstdint>
#include <vector>

#include "worker/models/lora.hpp"

namespace guda::worker {

struct TransformerShape {
  std::int64_t heads = 0;    ///< 0: no transformer
  std::int64_t context = 0;  ///< width of the context
  std::int64_t layers = 1;
  bool linear_projection = false;
  bool only_cross_attention = false;  ///< the first attention of a layer also looks at the context
};

/// Multi-head attention between tokens [N, L, channels] and a context [N, M, context]. No bias but the output's.
class CrossAttentionImpl : public torch::nn::Module {
 public:
  CrossAttentionImpl(std::int64_t channels, std::int64_t context, std::int64_t heads);
  at::Tensor forward(const at::Tensor& tokens, const at::Tensor& context);

 private:
  std::int64_t heads_;
  AdaptableLinear to_q_{nullptr}, to_k_{nullptr}, to_v_{nullptr}, to_out_{nullptr};
};
TORCH_MODULE(CrossAttention);

/// Self-attention, cross-attention and a gated feed-forward layer, each after a LayerNorm and with a residual.
class TransformerBlockImpl : public torch::nn::Module {
 public:
  TransformerBlockImpl(std::int64_t channels, const TransformerShape& shape);
  /// Without a context both attentions are of the tokens to themselves, as in diffusers.
  at::Tensor forward(at::Tensor tokens, const at::Tensor& context);

 private:
  bool only_cross_attention_;
  torch::nn::LayerNorm norm1_{nullptr}, norm2_{nullptr}, norm3_{nullptr};
  CrossAttention attn1_{nullptr}, attn2_{nullptr};
  torch::nn::Linear gate_{nullptr}, out_{nullptr};
};
TORCH_MODULE(TransformerBlock);

class Transformer2DImpl : public torch::nn::Module {
 public:
  Transformer2DImpl(std::int64_t channels, const TransformerShape& shape, std::int64_t groups);
  /// x [N, C, H, W]; context [N, M, context] or undefined. `around` is x again, where it passes the layers by (gradient
  /// checkpointing tells the two uses apart).
  at::Tensor forward(const at::Tensor& x, const at::Tensor& around, const at::Tensor& context);

 private:
  torch::nn::GroupNorm norm_{nullptr};
  at::Tensor in_weight_, in_bias_, out_weight_, out_bias_;  ///< of linear layers or of 1x1 convolutions: the same work
  std::vector<TransformerBlock> blocks_;
};
TORCH_MODULE(Transformer2D);

}  // namespace guda::worker
