#include "worker/models/transformer2d.hpp"

#include <ATen/ATen.h>

#include "worker/models/attention.hpp"
#include "worker/models/group_norm.hpp"
#include "worker/models/sample_gradients.hpp"

namespace guda::worker {
namespace {

constexpr double kGroupNormEps = 1e-6;  // diffusers' constants of this model, not the UNet's norm_eps
constexpr std::int64_t kFeedForwardFactor = 4;

torch::nn::LayerNorm layer_norm(std::int64_t channels) {
  return torch::nn::LayerNorm(torch::nn::LayerNormOptions({channels}));
}

AdaptableLinear linear_without_bias(std::int64_t in, std::int64_t out) {
  return AdaptableLinear(torch::nn::LinearOptions(in, out).bias(false));
}

/// A parameterless place in a list: diffusers has a dropout there.
struct PlaceImpl : torch::nn::Module {};
TORCH_MODULE(Place);

}  // namespace

CrossAttentionImpl::CrossAttentionImpl(std::int64_t channels, std::int64_t context, std::int64_t heads)
    : heads_(heads),
      to_q_(register_module("to_q", linear_without_bias(channels, channels))),
      to_k_(register_module("to_k", linear_without_bias(context, channels))),
      to_v_(register_module("to_v", linear_without_bias(context, channels))),
      to_out_(AdaptableLinear(torch::nn::LinearOptions(channels, channels))) {
  register_module("to_out", torch::nn::ModuleList(to_out_));
}

at::Tensor CrossAttentionImpl::forward(const at::Tensor& tokens, const at::Tensor& context) {
  return to_out_(transformer_attention(to_q_(tokens), to_k_(context), to_v_(context), heads_));
}

TransformerBlockImpl::TransformerBlockImpl(std::int64_t channels, const TransformerShape& shape)
    : only_cross_attention_(shape.only_cross_attention) {
  norm1_ = register_module("norm1", layer_norm(channels));
  attn1_ =
      register_module("attn1", CrossAttention(channels, only_cross_attention_ ? shape.context : channels, shape.heads));
  norm2_ = register_module("norm2", layer_norm(channels));
  attn2_ = register_module("attn2", CrossAttention(channels, shape.context, shape.heads));
  norm3_ = register_module("norm3", layer_norm(channels));
  // GEGLU: value and gate in one product.
  const std::int64_t inner = kFeedForwardFactor * channels;
  gate_ = torch::nn::Linear(channels, 2 * inner);
  out_ = torch::nn::Linear(inner, channels);
  Place gated;
  gated->register_module("proj", gate_);
  Place feed_forward;
  feed_forward->register_module("net", torch::nn::ModuleList(gated, Place(), out_));
  register_module("ff", feed_forward);
}

at::Tensor TransformerBlockImpl::forward(at::Tensor tokens, const at::Tensor& context) {
  at::Tensor h = apply_layer_norm(norm1_, tokens);
  tokens = tokens + attn1_(h, only_cross_attention_ && context.defined() ? context : h);
  h = apply_layer_norm(norm2_, tokens);
  tokens = tokens + attn2_(h, context.defined() ? context : h);
  const std::vector<at::Tensor> parts = apply_linear(gate_, apply_layer_norm(norm3_, tokens)).chunk(2, -1);
  return tokens + apply_linear(out_, parts[0] * at::gelu(parts[1]));
}

Transformer2DImpl::Transformer2DImpl(std::int64_t channels, const TransformerShape& shape, std::int64_t groups) {
  norm_ =
      register_module("norm", torch::nn::GroupNorm(torch::nn::GroupNormOptions(groups, channels).eps(kGroupNormEps)));
  const auto projection = [&](const char* name, at::Tensor& weight, at::Tensor& bias) {
    if (shape.linear_projection) {
      const auto layer = register_module(name, torch::nn::Linear(channels, channels));
      weight = layer->weight, bias = layer->bias;
    } else {
      const auto layer = register_module(name, torch::nn::Conv2d(torch::nn::Conv2dOptions(channels, channels, 1)));
      weight = layer->weight, bias = layer->bias;
    }
  };
  projection("proj_in", in_weight_, in_bias_);
  torch::nn::ModuleList blocks;
  for (std::int64_t i = 0; i < shape.layers; ++i) {
    blocks_.emplace_back(channels, shape);
    blocks->push_back(blocks_.back());
  }
  register_module("transformer_blocks", blocks);
  projection("proj_out", out_weight_, out_bias_);
}

at::Tensor Transformer2DImpl::forward(const at::Tensor& x, const at::Tensor& around, const at::Tensor& context) {
  const std::int64_t n = x.size(0), channels = x.size(1), height = x.size(2), width = x.size(3);
  const at::Tensor normed =
      group_norm(x, norm_->weight, norm_->bias, norm_->options.num_groups(), norm_->options.eps(), false);
  // [N, C, H, W] -> [N, H W, C]: a view when x is channels_last. A 1x1 convolution is a linear layer of the pixels.
  at::Tensor tokens = normed.flatten(2).transpose(1, 2);
  tokens = apply_linear(in_weight_, in_bias_, tokens);
  for (TransformerBlock& block : blocks_) tokens = block(tokens, context);
  tokens = apply_linear(out_weight_, out_bias_, tokens);
  // It comes first so that the sum takes its memory layout.
  return around + tokens.transpose(1, 2).reshape({n, channels, height, width});
}

}  // namespace guda::worker
