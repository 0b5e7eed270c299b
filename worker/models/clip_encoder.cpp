#include "worker/models/clip_encoder.hpp"

#include <ATen/ATen.h>

namespace guda::worker {
namespace {

struct ClipPartImpl : torch::nn::Module {};
TORCH_MODULE(ClipPart);

}  // namespace

torch::nn::LayerNorm clip_norm(const ClipEncoderConfig& config) {
  return torch::nn::LayerNorm(
      torch::nn::LayerNormOptions({static_cast<std::int64_t>(config.hidden_size)}).eps(config.layer_norm_eps));
}

ClipLayerImpl::ClipLayerImpl(const ClipEncoderConfig& config)
    : heads_(config.num_attention_heads), quick_gelu_(config.hidden_act == "quick_gelu") {
  const std::int64_t width = config.hidden_size, inner = config.intermediate_size;
  ClipPart attention, mlp;
  for (const auto& [name, layer] : {std::pair{"k_proj", &k_proj_}, std::pair{"v_proj", &v_proj_},
                                    std::pair{"q_proj", &q_proj_}, std::pair{"out_proj", &out_proj_}})
    *layer = attention->register_module(name, torch::nn::Linear(width, width));
  fc1_ = mlp->register_module("fc1", torch::nn::Linear(width, inner));
  fc2_ = mlp->register_module("fc2", torch::nn::Linear(inner, width));
  register_module("self_attn", attention);
  layer_norm1_ = register_module("layer_norm1", clip_norm(config));
  register_module("mlp", mlp);
  layer_norm2_ = register_module("layer_norm2", clip_norm(config));
}

at::Tensor ClipLayerImpl::forward(const at::Tensor& x, bool causal) {
  const at::Tensor tokens = layer_norm1_(x);
  const auto split = [&](torch::nn::Linear& projection) {
    return projection(tokens).view({x.size(0), x.size(1), heads_, x.size(2) / heads_}).transpose(1, 2);
  };
  const at::Tensor mixed =
      at::scaled_dot_product_attention(split(q_proj_), split(k_proj_), split(v_proj_), {}, /*dropout_p=*/0, causal);
  const at::Tensor attended = x + out_proj_(mixed.transpose(1, 2).reshape(x.sizes()));
  const at::Tensor h = fc1_(layer_norm2_(attended));
  return attended + fc2_(quick_gelu_ ? h * at::sigmoid(1.702 * h) : at::gelu(h));
}

ClipEncoderImpl::ClipEncoderImpl(const ClipEncoderConfig& config)
    : layers_(register_module("layers", torch::nn::ModuleList())) {
  for (std::uint32_t i = 0; i < config.num_hidden_layers; ++i) layers_->push_back(ClipLayer(config));
}

at::Tensor ClipEncoderImpl::forward(at::Tensor x, bool causal, std::size_t layers,
                                    const std::function<void(const at::Tensor&)>& after) {
  for (std::size_t i = 0; i < layers; ++i) {
    x = layers_[i]->as<ClipLayerImpl>()->forward(x, causal);
    if (after) after(x);
  }
  return x;
}

}  // namespace guda::worker
