#include "worker/models/unet2d_blocks.hpp"

#include <ATen/ATen.h>

#include <utility>

#include "worker/models/recompute.hpp"

namespace guda::worker {
namespace {

template <class Holder>
torch::nn::ModuleList list_of(const std::vector<Holder>& modules) {
  torch::nn::ModuleList list;
  for (const Holder& m : modules) list->push_back(m);
  return list;
}

// Blocks whose inside may be computed again on the way back. The input counts twice, in the order in which its
// gradients come: around the block, then through its norm.
at::Tensor run(ResnetBlock& block, at::Tensor x, const at::Tensor& temb) {
  std::vector<at::Tensor> inputs{x, x, temb};
  x.reset();
  return recomputed(*block, std::move(inputs),
                    [block](const auto& in) mutable { return block->forward_apart(in[1], in[0], in[2]); });
}

at::Tensor run(Attention& block, const at::Tensor& x) {
  return recomputed(*block, {x, x}, [block](const auto& in) mutable { return block->forward_apart(in[1], in[0]); });
}

at::Tensor run(Transformer2D& block, const at::Tensor& x, const at::Tensor& context) {
  return recomputed(*block, {x, x, context},
                    [block](const auto& in) mutable { return block->forward(in[1], in[0], in[2]); });
}

}  // namespace

DownBlockImpl::DownBlockImpl(const BlockShape& shape, const ResnetStyle& style) {
  for (std::int64_t i = 0; i < shape.layers; ++i) {
    resnets_.emplace_back(i == 0 ? shape.in : shape.out, shape.out, style);
    if (shape.attention_head_dim > 0) {
      attentions_.emplace_back(shape.out, shape.attention_head_dim, style.groups, style.eps);
    } else if (shape.transformer.heads > 0) {
      transformers_.emplace_back(shape.out, shape.transformer, style.groups);
    }
  }
  if (!attentions_.empty()) register_module("attentions", list_of(attentions_));
  if (!transformers_.empty()) register_module("attentions", list_of(transformers_));
  register_module("resnets", list_of(resnets_));
  if (shape.sampler == Sampler::conv) {
    downsample_ = Downsample(shape.out, shape.downsample_padding);
    register_module("downsamplers", torch::nn::ModuleList(downsample_));
  } else if (shape.sampler == Sampler::resnet) {
    downsample_resnet_ = ResnetBlock(shape.out, shape.out, style, Resample::down);
    register_module("downsamplers", torch::nn::ModuleList(downsample_resnet_));
  }
}

at::Tensor DownBlockImpl::forward(at::Tensor x, const at::Tensor& temb, std::vector<at::Tensor>& skips,
                                  const at::Tensor& context) {
  for (std::size_t i = 0; i < resnets_.size(); ++i) {
    x = run(resnets_[i], x, temb);
    if (!attentions_.empty()) x = run(attentions_[i], x);
    if (!transformers_.empty()) x = run(transformers_[i], x, context);
    skips.push_back(x);
  }
  if (downsample_ || downsample_resnet_) {
    x = downsample_ ? downsample_(x) : run(downsample_resnet_, x, temb);
    skips.push_back(x);
  }
  return x;
}

UpBlockImpl::UpBlockImpl(const BlockShape& shape, const ResnetStyle& style) {
  for (std::int64_t i = 0; i < shape.layers; ++i) {
    const std::int64_t skip = i == shape.layers - 1 ? shape.skip : shape.out;
    resnets_.emplace_back((i == 0 ? shape.in : shape.out) + skip, shape.out, style);
    if (shape.attention_head_dim > 0) {
      attentions_.emplace_back(shape.out, shape.attention_head_dim, style.groups, style.eps);
    } else if (shape.transformer.heads > 0) {
      transformers_.emplace_back(shape.out, shape.transformer, style.groups);
    }
  }
  if (!attentions_.empty()) register_module("attentions", list_of(attentions_));
  if (!transformers_.empty()) register_module("attentions", list_of(transformers_));
  register_module("resnets", list_of(resnets_));
  if (shape.sampler == Sampler::conv) {
    upsample_ = Upsample(shape.out);
    register_module("upsamplers", torch::nn::ModuleList(upsample_));
  } else if (shape.sampler == Sampler::resnet) {
    upsample_resnet_ = ResnetBlock(shape.out, shape.out, style, Resample::up);
    register_module("upsamplers", torch::nn::ModuleList(upsample_resnet_));
  }
}

at::Tensor UpBlockImpl::forward(at::Tensor x, const at::Tensor& temb, std::vector<at::Tensor>& skips,
                                const at::Tensor& context) {
  for (std::size_t i = 0; i < resnets_.size(); ++i) {
    // Neither part is needed beside the whole: while scoring this is the network's widest place.
    x = at::cat({x, skips.back()}, 1);
    skips.pop_back();
    x = run(resnets_[i], std::move(x), temb);
    if (!attentions_.empty()) x = run(attentions_[i], x);
    if (!transformers_.empty()) x = run(transformers_[i], x, context);
  }
  if (upsample_) return upsample_(x);
  if (upsample_resnet_) return run(upsample_resnet_, x, temb);
  return x;
}

MidBlockImpl::MidBlockImpl(std::int64_t channels, std::int64_t head_dim, std::optional<std::int64_t> attention_groups,
                           const ResnetStyle& style)
    : first_(channels, channels, style), second_(channels, channels, style) {
  if (head_dim > 0) {
    attention_ = Attention(channels, head_dim, attention_groups, style.eps, style.output_scale);
    register_module("attentions", torch::nn::ModuleList(attention_));
  }
  register_module("resnets", torch::nn::ModuleList(first_, second_));
}

at::Tensor MidBlockImpl::forward(at::Tensor x, const at::Tensor& temb) {
  x = run(first_, x, temb);
  if (attention_) x = run(attention_, x);
  return run(second_, x, temb);
}

CrossMidBlockImpl::CrossMidBlockImpl(std::int64_t channels, const TransformerShape& transformer,
                                     const ResnetStyle& style)
    : first_(channels, channels, style) {
  torch::nn::ModuleList resnets(first_);
  if (transformer.heads > 0) {
    transformer_ = Transformer2D(channels, transformer, style.groups);
    second_ = ResnetBlock(channels, channels, style);
    register_module("attentions", torch::nn::ModuleList(transformer_));
    resnets->push_back(second_);
  }
  register_module("resnets", resnets);
}

at::Tensor CrossMidBlockImpl::forward(at::Tensor x, const at::Tensor& temb, const at::Tensor& context) {
  x = run(first_, x, temb);
  return transformer_ ? run(second_, run(transformer_, x, context), temb) : x;
}

}  // namespace guda::worker
