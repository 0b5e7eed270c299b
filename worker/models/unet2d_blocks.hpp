#pragma once
// The parts of UNet2D, UNet2DCondition and AutoencoderKL, named and registered as inside diffusers' state dict. All
// images are [N, C, H, W] float32; `temb` is the activated time embedding [N or 1, time_embed_dim].
#include <torch/nn/module.h>
#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/dropout.h>
#include <torch/nn/modules/embedding.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>
#include <torch/nn/pimpl.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "worker/models/transformer2d.hpp"

namespace guda::worker {

using Activation = at::Tensor (*)(const at::Tensor&);
/// silu | swish | mish | gelu | relu, else Bug (the config has been checked).
[[nodiscard]] Activation activation_from(const std::string& name);

/// Sines and cosines of [N] timesteps at `channels` / 2 frequencies, float32 [N, channels]; an odd number of channels
/// is padded with a zero column (diffusers' get_timestep_embedding).
[[nodiscard]] at::Tensor sinusoidal_embedding(const at::Tensor& timestep, std::int64_t channels, bool flip_sin_to_cos,
                                              double freq_shift);

/// Random, fixed frequencies of the logarithm of the timestep (diffusers' GaussianFourierProjection).
class FourierProjectionImpl : public torch::nn::Module {
 public:
  explicit FourierProjectionImpl(std::int64_t channels);
  at::Tensor forward(const at::Tensor& timestep);  ///< [N] -> [N, 2 channels]

 private:
  at::Tensor weight_;
};
TORCH_MODULE(FourierProjection);

/// Linear, activation (default: SiLU), Linear.
class TimestepMlpImpl : public torch::nn::Module {
 public:
  TimestepMlpImpl(std::int64_t in, std::int64_t out, Activation activation = nullptr);
  at::Tensor forward(const at::Tensor& x);

 private:
  Activation activation_;
  torch::nn::Linear linear_1_{nullptr}, linear_2_{nullptr};
};
TORCH_MODULE(TimestepMlp);

/// What all residual blocks of one network share.
struct ResnetStyle {
  std::int64_t temb_channels = 0;  ///< 0: no time embedding; `temb` is undefined then
  std::int64_t groups = 32;
  double eps = 1e-5;
  double dropout = 0;
  bool scale_shift = false;  ///< the time embedding scales and shifts after norm2 instead of being added before it
  double output_scale = 1;   ///< the sum of both branches is divided by it
  Activation activation = nullptr;
  bool silu = false;  ///< the activation is SiLU: fused with the norm before it
};

enum class Resample { none, up, down };

class ResnetBlockImpl : public torch::nn::Module {
 public:
  ResnetBlockImpl(std::int64_t in, std::int64_t out, const ResnetStyle& style, Resample resample = Resample::none);
  at::Tensor forward(const at::Tensor& x, const at::Tensor& temb) { return forward_apart(x, x, temb); }
  /// `around` is x again, where it passes the layers by: gradient checkpointing tells the two uses apart.
  at::Tensor forward_apart(at::Tensor x, at::Tensor around, const at::Tensor& temb);

 private:
  at::Tensor normed(torch::nn::GroupNorm& norm, const at::Tensor& x);

  ResnetStyle style_;
  Resample resample_;
  torch::nn::GroupNorm norm1_{nullptr}, norm2_{nullptr};
  torch::nn::Conv2d conv1_{nullptr}, conv2_{nullptr}, conv_shortcut_{nullptr};
  torch::nn::Linear time_emb_proj_{nullptr};
};
TORCH_MODULE(ResnetBlock);

/// Multi-head self-attention over pixels with a residual connection. `groups` = nullopt: without a norm.
class AttentionImpl : public torch::nn::Module {
 public:
  AttentionImpl(std::int64_t channels, std::int64_t head_dim, std::optional<std::int64_t> groups, double eps,
                double output_scale = 1);
  at::Tensor forward(const at::Tensor& x) { return forward_apart(x, x); }
  /// As ResnetBlock's.
  at::Tensor forward_apart(const at::Tensor& x, const at::Tensor& around);

 private:
  std::int64_t heads_;
  double output_scale_;
  torch::nn::GroupNorm group_norm_{nullptr};
  torch::nn::Linear to_q_{nullptr}, to_k_{nullptr}, to_v_{nullptr}, to_out_{nullptr};
};
TORCH_MODULE(Attention);

/// 3x3 convolution of stride 2; padding 0 pads right and bottom by one.
class DownsampleImpl : public torch::nn::Module {
 public:
  DownsampleImpl(std::int64_t channels, std::int64_t padding);
  at::Tensor forward(const at::Tensor& x);

 private:
  std::int64_t padding_;
  torch::nn::Conv2d conv_{nullptr};
};
TORCH_MODULE(Downsample);

/// Nearest neighbour x2, then a 3x3 convolution.
class UpsampleImpl : public torch::nn::Module {
 public:
  explicit UpsampleImpl(std::int64_t channels);
  at::Tensor forward(const at::Tensor& x);

 private:
  torch::nn::Conv2d conv_{nullptr};
};
TORCH_MODULE(Upsample);

/// How a block changes the resolution at its end: not, by a convolution, or by a residual block.
enum class Sampler { none, conv, resnet };

struct BlockShape {
  std::int64_t in = 0;
  std::int64_t out = 0;
  std::int64_t skip = 0;  ///< up blocks: channels of the last skip connection
  std::int64_t layers = 1;
  std::int64_t attention_head_dim = 0;  ///< 0: no attention
  TransformerShape transformer;         ///< in its place: cross-attention
  Sampler sampler = Sampler::none;
  std::int64_t downsample_padding = 1;
};

/// DownBlock2D, AttnDownBlock2D and CrossAttnDownBlock2D.
class DownBlockImpl : public torch::nn::Module {
 public:
  DownBlockImpl(const BlockShape& shape, const ResnetStyle& style);
  /// Appends its intermediate images to `skips`. `context` as transformers take it.
  at::Tensor forward(at::Tensor x, const at::Tensor& temb, std::vector<at::Tensor>& skips,
                     const at::Tensor& context = {});

 private:
  std::vector<ResnetBlock> resnets_;
  std::vector<Attention> attentions_;
  std::vector<Transformer2D> transformers_;
  Downsample downsample_{nullptr};
  ResnetBlock downsample_resnet_{nullptr};
};
TORCH_MODULE(DownBlock);

/// UpBlock2D, AttnUpBlock2D and CrossAttnUpBlock2D.
class UpBlockImpl : public torch::nn::Module {
 public:
  UpBlockImpl(const BlockShape& shape, const ResnetStyle& style);
  /// Takes one image from the end of `skips` per layer. `context` as transformers take it.
  at::Tensor forward(at::Tensor x, const at::Tensor& temb, std::vector<at::Tensor>& skips,
                     const at::Tensor& context = {});

 private:
  std::vector<ResnetBlock> resnets_;
  std::vector<Attention> attentions_;
  std::vector<Transformer2D> transformers_;
  Upsample upsample_{nullptr};
  ResnetBlock upsample_resnet_{nullptr};
};
TORCH_MODULE(UpBlock);

/// Residual block, attention (head_dim 0: none), residual block.
class MidBlockImpl : public torch::nn::Module {
 public:
  MidBlockImpl(std::int64_t channels, std::int64_t head_dim, std::optional<std::int64_t> attention_groups,
               const ResnetStyle& style);
  at::Tensor forward(at::Tensor x, const at::Tensor& temb);

 private:
  ResnetBlock first_{nullptr}, second_{nullptr};
  Attention attention_{nullptr};
};
TORCH_MODULE(MidBlock);

/// UNetMidBlock2DCrossAttn; without a transformer (heads 0) UNetMidBlock2D as UNet2DConditionModel builds it: one
/// residual block.
class CrossMidBlockImpl : public torch::nn::Module {
 public:
  CrossMidBlockImpl(std::int64_t channels, const TransformerShape& transformer, const ResnetStyle& style);
  at::Tensor forward(at::Tensor x, const at::Tensor& temb, const at::Tensor& context);

 private:
  ResnetBlock first_{nullptr}, second_{nullptr};
  Transformer2D transformer_{nullptr};
};
TORCH_MODULE(CrossMidBlock);

}  // namespace guda::worker
