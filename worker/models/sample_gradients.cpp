#include "worker/models/sample_gradients.hpp"

#include <torch/torch.h>

#include <array>

#include "common/error.hpp"

namespace guda::worker {
namespace {

thread_local SampleGradientSink* open_sink = nullptr;

/// Runs `use(dy)` when the gradient of y is known. An output that nothing upstream tracks becomes a leaf.
template <class Use>
void on_gradient(at::Tensor& y, Use use) {
  if (!y.requires_grad()) y.requires_grad_(true);
  y.register_hook([use = std::move(use)](const at::Tensor& dy) {
    const at::NoGradGuard no_grad;
    use(dy);
  });
}

constexpr at::MemoryFormat kChannelsLast = at::MemoryFormat::ChannelsLast;

/// What every output pixel sees: [N, out height, out width, kernel height, kernel width, C]. Channels lie side by side,
/// so that this is a copy of short runs and the product with the errors needs nothing turned round.
at::Tensor windows(const at::Tensor& x, at::IntArrayRef out, const std::array<std::int64_t, 2>& kernel,
                   const std::array<std::int64_t, 2>& stride, const std::array<std::int64_t, 2>& dilation,
                   const std::array<std::int64_t, 2>& pad) {
  const std::int64_t n = x.size(0), c = x.size(1), h = x.size(2), w = x.size(3);
  at::Tensor around = x.contiguous(kChannelsLast);
  if (pad[0] > 0 || pad[1] > 0) {
    at::Tensor wide = at::zeros({n, h + 2 * pad[0], w + 2 * pad[1], c}, x.options());
    wide.narrow(1, pad[0], h).narrow(2, pad[1], w).copy_(around.permute({0, 2, 3, 1}));
    around = wide;
  } else {
    around = around.permute({0, 2, 3, 1});
  }
  const std::int64_t row = around.stride(1), column = around.stride(2);
  return around
      .as_strided({n, out[0], out[1], kernel[0], kernel[1], c},
                  {around.stride(0), stride[0] * row, stride[1] * column, dilation[0] * row, dilation[1] * column, 1})
      .contiguous();
}

}  // namespace

SampleGradientSink* SampleGradientSink::current() noexcept { return open_sink; }

SampleGradientScope::SampleGradientScope(SampleGradientSink& sink) noexcept : outer_(open_sink) { open_sink = &sink; }
SampleGradientScope::~SampleGradientScope() { open_sink = outer_; }

void watch_convolution(const torch::nn::Conv2d& conv, const at::Tensor& x, bool enlarge, at::Tensor& y) {
  SampleGradientSink* const sink = SampleGradientSink::current();
  if (sink == nullptr) return;
  const auto& o = conv->options;
  const auto* const padding = std::get_if<torch::ExpandingArray<2>>(&o.padding());
  if (o.groups() != 1 || padding == nullptr) throw Bug("gradients of single images: a convolution of an unknown form");
  const std::array<std::int64_t, 2> kernel = *o.kernel_size(), stride = *o.stride(), dilation = *o.dilation(),
                                    pad = **padding;
  on_gradient(y, [=, weight = conv->weight, bias = conv->bias, x = x.detach()](const at::Tensor& dy) {
    const at::Tensor seen = (enlarge ? at::upsample_nearest2d(x, {2 * x.size(2), 2 * x.size(3)}, 2.0, 2.0) : x);
    const std::int64_t samples = dy.size(0) / sink->rows_per_sample(), in = x.size(1), out = dy.size(1);
    const at::Tensor columns = windows(seen, dy.sizes().slice(2), kernel, stride, dilation, pad)
                                   .view({samples, -1, kernel[0] * kernel[1] * in});
    const at::Tensor errors = dy.contiguous(kChannelsLast).permute({0, 2, 3, 1}).reshape({samples, -1, out});
    sink->take(weight, at::bmm(errors.transpose(1, 2), columns)
                           .view({samples, out, kernel[0], kernel[1], in})
                           .permute({0, 1, 4, 2, 3}));
    if (bias.defined()) sink->take(bias, errors.sum(1));
  });
}

void watch_linear(const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& x, at::Tensor& y) {
  SampleGradientSink* const sink = SampleGradientSink::current();
  if (sink == nullptr) return;
  on_gradient(y, [sink, weight = weight, bias = bias, x = x.detach()](const at::Tensor& dy) {
    // All tokens of all rows of a sample are one sum.
    const std::int64_t samples = dy.size(0) / sink->rows_per_sample();
    const at::Tensor errors = dy.reshape({samples, -1, dy.size(-1)});
    sink->take(weight, at::bmm(errors.transpose(1, 2), x.reshape({samples, -1, x.size(-1)})).flatten(1));
    if (bias.defined()) sink->take(bias, errors.sum(1));
  });
}

void watch_group_norm(const at::Tensor& gamma, const at::Tensor& beta, const at::Tensor& x, std::int64_t groups,
                      double eps, bool silu, at::Tensor& y) {
  SampleGradientSink* const sink = SampleGradientSink::current();
  if (sink == nullptr) return;
  on_gradient(y, [=, x = x.detach(), gamma = gamma, beta = beta](const at::Tensor& dy) {
    const at::Tensor grouped = x.contiguous().view({x.size(0), groups, -1});
    const auto [variance, mean] = at::var_mean(grouped, std::vector<std::int64_t>{2}, 0, true);
    const at::Tensor normal = ((grouped - mean) * (variance + eps).rsqrt()).view({x.size(0), x.size(1), -1});
    at::Tensor error = dy.contiguous().view_as(normal);
    if (silu) {
      const at::Tensor inner = normal * gamma.view({1, -1, 1}) + beta.view({1, -1, 1}), gate = inner.sigmoid();
      error = error * (gate * (1 + inner * (1 - gate)));
    }
    const std::int64_t rows = sink->rows_per_sample();
    const auto summed = [&](const at::Tensor& per_pixel) {
      return per_pixel.sum(2).view({x.size(0) / rows, rows, x.size(1)}).sum(1);
    };
    sink->take(gamma, summed(error * normal));
    sink->take(beta, summed(error));
  });
}

at::Tensor apply_linear(const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& x) {
  at::Tensor y = at::linear(x, weight.flatten(1), bias);
  watch_linear(weight, bias, x, y);
  return y;
}

at::Tensor apply_linear(torch::nn::Linear& linear, const at::Tensor& x) {
  return apply_linear(linear->weight, linear->bias, x);
}

at::Tensor apply_layer_norm(torch::nn::LayerNorm& norm, const at::Tensor& x) {
  at::Tensor y = norm(x);
  SampleGradientSink* const sink = SampleGradientSink::current();
  if (sink == nullptr) return y;
  on_gradient(y, [sink, eps = norm->options.eps(), gamma = norm->weight, beta = norm->bias,
                  x = x.detach()](const at::Tensor& dy) {
    const auto [variance, mean] = at::var_mean(x, std::vector<std::int64_t>{-1}, 0, true);
    const std::int64_t samples = x.size(0) / sink->rows_per_sample();
    const auto summed = [&](const at::Tensor& t) { return t.reshape({samples, -1, x.size(-1)}).sum(1); };
    sink->take(gamma, summed(dy * (x - mean) * (variance + eps).rsqrt()));
    sink->take(beta, summed(dy));
  });
  return y;
}

at::Tensor apply_embedding(torch::nn::Embedding& table, const at::Tensor& rows) {
  at::Tensor y = table(rows);
  SampleGradientSink* const sink = SampleGradientSink::current();
  if (sink == nullptr) return y;
  on_gradient(y, [sink, weight = table->weight, rows](const at::Tensor& dy) {
    const std::int64_t samples = dy.size(0) / sink->rows_per_sample();
    const at::Tensor chosen =
        at::one_hot(rows, weight.size(0)).to(dy.scalar_type()).reshape({samples, -1, weight.size(0)});
    sink->take(weight, at::bmm(chosen.transpose(1, 2), dy.reshape({samples, -1, dy.size(-1)})).flatten(1));
  });
  return y;
}

}  // namespace guda::worker
