#include <ATen/ATen.h>

#include <cmath>
#include <numbers>

#include "common/error.hpp"
#include "worker/models/attention.hpp"
#include "worker/models/convolution.hpp"
#include "worker/models/dropout.hpp"
#include "worker/models/group_norm.hpp"
#include "worker/models/sample_gradients.hpp"
#include "worker/models/unet2d_blocks.hpp"

namespace guda::worker {
namespace {

torch::nn::Conv2d conv3x3(std::int64_t in, std::int64_t out, std::int64_t stride = 1, std::int64_t padding = 1) {
  return torch::nn::Conv2d(torch::nn::Conv2dOptions(in, out, 3).stride(stride).padding(padding));
}

torch::nn::GroupNorm make_norm(std::int64_t groups, std::int64_t channels, double eps) {
  return torch::nn::GroupNorm(torch::nn::GroupNormOptions(groups, channels).eps(eps));
}

at::Tensor apply_norm(torch::nn::GroupNorm& norm, const at::Tensor& x, bool silu) {
  return group_norm(x, norm->weight, norm->bias, norm->options.num_groups(), norm->options.eps(), silu);
}

at::Tensor twice_as_large(const at::Tensor& x) {
  return at::upsample_nearest2d(x, {2 * x.size(2), 2 * x.size(3)}, 2.0, 2.0);
}

}  // namespace

Activation activation_from(const std::string& name) {
  if (name == "silu" || name == "swish") return [](const at::Tensor& x) { return at::silu(x); };
  if (name == "mish") return [](const at::Tensor& x) { return at::mish(x); };
  if (name == "gelu") return [](const at::Tensor& x) { return at::gelu(x); };
  if (name == "relu") return [](const at::Tensor& x) { return at::relu(x); };
  throw Bug("unknown activation '" + name + "'");
}

at::Tensor sinusoidal_embedding(const at::Tensor& timestep, std::int64_t channels, bool flip_sin_to_cos,
                                double freq_shift) {
  const std::int64_t half = channels / 2;
  const at::TensorOptions options = at::TensorOptions().dtype(at::kFloat).device(timestep.device());
  const at::Tensor exponent = at::arange(half, options) * -std::log(10000.0) / (static_cast<double>(half) - freq_shift);
  const at::Tensor angle = timestep.to(at::kFloat).unsqueeze(1) * at::exp(exponent).unsqueeze(0);
  std::vector<at::Tensor> columns =
      flip_sin_to_cos ? std::vector{at::cos(angle), at::sin(angle)} : std::vector{at::sin(angle), at::cos(angle)};
  if (channels % 2 == 1) columns.push_back(at::zeros({angle.size(0), 1}, options));
  return at::cat(columns, 1);
}

FourierProjectionImpl::FourierProjectionImpl(std::int64_t channels)
    : weight_(register_parameter("weight", at::randn({channels}) * 16, /*requires_grad=*/false)) {}

at::Tensor FourierProjectionImpl::forward(const at::Tensor& timestep) {
  const at::Tensor log_t = at::log(timestep.to(at::kFloat));
  const at::Tensor angle = log_t.unsqueeze(1) * weight_.unsqueeze(0) * 2 * std::numbers::pi;
  return at::cat({at::sin(angle), at::cos(angle)}, 1);
}

TimestepMlpImpl::TimestepMlpImpl(std::int64_t in, std::int64_t out, Activation activation)
    : activation_(activation != nullptr ? activation : activation_from("silu")),
      linear_1_(register_module("linear_1", torch::nn::Linear(in, out))),
      linear_2_(register_module("linear_2", torch::nn::Linear(out, out))) {}

at::Tensor TimestepMlpImpl::forward(const at::Tensor& x) {
  return apply_linear(linear_2_, activation_(apply_linear(linear_1_, x)));
}

ResnetBlockImpl::ResnetBlockImpl(std::int64_t in, std::int64_t out, const ResnetStyle& style, Resample resample)
    : style_(style), resample_(resample) {
  norm1_ = register_module("norm1", make_norm(style.groups, in, style.eps));
  conv1_ = register_module("conv1", conv3x3(in, out));
  if (style.temb_channels > 0) {
    time_emb_proj_ =
        register_module("time_emb_proj", torch::nn::Linear(style.temb_channels, style.scale_shift ? 2 * out : out));
  }
  norm2_ = register_module("norm2", make_norm(style.groups, out, style.eps));
  conv2_ = register_module("conv2", conv3x3(out, out));
  if (in != out) {
    conv_shortcut_ = register_module("conv_shortcut", torch::nn::Conv2d(torch::nn::Conv2dOptions(in, out, 1)));
  }
}

at::Tensor ResnetBlockImpl::normed(torch::nn::GroupNorm& norm, const at::Tensor& x) {
  return style_.silu ? apply_norm(norm, x, true) : style_.activation(apply_norm(norm, x, false));
}

at::Tensor ResnetBlockImpl::forward_apart(at::Tensor x, at::Tensor around, const at::Tensor& temb) {
  at::Tensor h = normed(norm1_, x);
  x.reset();
  if (resample_ == Resample::up) {
    around = twice_as_large(around);
    h = twice_as_large(h);
  } else if (resample_ == Resample::down) {
    around = at::avg_pool2d(around, 2);
    h = at::avg_pool2d(h, 2);
  }
  const at::Tensor time = time_emb_proj_ ? apply_linear(time_emb_proj_, temb) : at::Tensor();
  if (style_.scale_shift) {
    const std::vector<at::Tensor> parts = time.unsqueeze(-1).unsqueeze(-1).chunk(2, 1);
    h = style_.activation(apply_norm(norm2_, convolve(conv1_, h), false) * (1 + parts[0]) + parts[1]);
  } else {
    h = convolve(conv1_, h, {.enlarge = false, .shift = time, .residual = {}});  // while scoring, its input goes here
    h = normed(norm2_, h);
  }
  if (style_.dropout > 0 && is_training()) h = dropout(h, style_.dropout);
  h = convolve(conv2_, h,
               {.enlarge = false, .shift = {}, .residual = conv_shortcut_ ? convolve(conv_shortcut_, around) : around});
  return style_.output_scale == 1 ? h : h / style_.output_scale;
}

AttentionImpl::AttentionImpl(std::int64_t channels, std::int64_t head_dim, std::optional<std::int64_t> groups,
                             double eps, double output_scale)
    : heads_(channels / head_dim), output_scale_(output_scale) {
  const std::int64_t inner = heads_ * head_dim;
  if (groups) group_norm_ = register_module("group_norm", make_norm(*groups, channels, eps));
  to_q_ = register_module("to_q", torch::nn::Linear(channels, inner));
  to_k_ = register_module("to_k", torch::nn::Linear(channels, inner));
  to_v_ = register_module("to_v", torch::nn::Linear(channels, inner));
  to_out_ = torch::nn::Linear(inner, channels);
  register_module("to_out", torch::nn::ModuleList(to_out_));
}

at::Tensor AttentionImpl::forward_apart(const at::Tensor& x, const at::Tensor& around) {
  const std::int64_t n = x.size(0), c = x.size(1), height = x.size(2), width = x.size(3);
  // [N, C, H, W] -> [N, H W, C]: a view when x is channels_last.
  const at::Tensor tokens = (group_norm_ ? apply_norm(group_norm_, x, false) : x).flatten(2).transpose(1, 2);
  at::Tensor h =
      attention(apply_linear(to_q_, tokens), apply_linear(to_k_, tokens), apply_linear(to_v_, tokens), heads_);
  h = apply_linear(to_out_, h);
  // It comes first so that the sum takes its memory layout.
  h = around + h.transpose(1, 2).reshape({n, c, height, width});
  return output_scale_ == 1 ? h : h / output_scale_;
}

DownsampleImpl::DownsampleImpl(std::int64_t channels, std::int64_t padding)
    : padding_(padding), conv_(register_module("conv", conv3x3(channels, channels, 2, padding))) {}

at::Tensor DownsampleImpl::forward(const at::Tensor& x) {
  return convolve(conv_, padding_ == 0 ? at::constant_pad_nd(x, {0, 1, 0, 1}) : x);
}

UpsampleImpl::UpsampleImpl(std::int64_t channels) : conv_(register_module("conv", conv3x3(channels, channels))) {}

at::Tensor UpsampleImpl::forward(const at::Tensor& x) {
  return convolve(conv_, x, {.enlarge = true, .shift = {}, .residual = {}});
}

}  // namespace guda::worker
