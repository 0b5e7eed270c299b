#include "worker/models/convolution.hpp"

#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <torch/torch.h>

#include <algorithm>
#include <string>
#include <vector>

#include "worker/kernels/kernels.hpp"
#include "worker/models/sample_gradients.hpp"
#include "worker/profile/span.hpp"

namespace guda::worker {
namespace {

using kernels::ConvShape;
using kernels::kernels;

constexpr at::MemoryFormat kLast = at::MemoryFormat::ChannelsLast;
constexpr std::int64_t kWideFloats = 3 << 20;  // of the points of a chunk of tiles

/// What stands for an input that was not given: autograd functions take no undefined tensors.
const float* data_or_null(const at::Tensor& t) { return t.numel() > 0 ? t.const_data_ptr<float>() : nullptr; }

std::string described(const char* what, const ConvShape& s) {
  return fmt::format("guda::{} {}->{} {}x{}{}{}{}", what, s.in, s.out, s.height, s.width, s.kernel == 1 ? " 1x1" : "",
                     s.stride == 2 ? " stride 2" : "", s.enlarge ? " enlarged" : "");
}

/// Where the kernels win or draw (./run bench kernels). Windows that save products do so for all sizes measured; for
/// the others the weights of a register block leave the first-level cache beyond 64 channels.
bool is_ours(const ConvShape& s) {
  const bool saves = s.kernel == 3 && s.stride == 1 && std::min(s.in, s.out) > 16;
  return s.in * s.out * s.kernel * s.kernel <= (saves ? 9 * 512 * 512 : 9 * 64 * 64) && s.height * s.width <= 4096;
}

/// Where Winograd's convolution in panels wins although the network is large and the batch small (./run bench kernels).
bool is_wide(const ConvShape& s) {
  return s.kernel == 3 && s.stride == 1 && s.in % (kernels::kWidePanel / 2) == 0 && s.out % kernels::kWidePanel == 0 &&
         s.in * s.out > 256 * 256;
}

std::optional<ConvShape> shape_of(const torch::nn::Conv2d& conv, const at::Tensor& x, bool enlarge) {
  const auto& o = conv->options;
  if (!x.is_cpu() || x.scalar_type() != at::kFloat || x.dim() != 4 || o.groups() != 1 ||
      conv->weight.scalar_type() != at::kFloat)
    return std::nullopt;
  const std::int64_t kernel = o.kernel_size()->at(0), stride = o.stride()->at(0);
  const auto* padding = std::get_if<torch::ExpandingArray<2>>(&o.padding());
  if (padding == nullptr || (*padding)->at(0) != kernel / 2 || (kernel != 1 && kernel != 3) ||
      (stride != 1 && (stride != 2 || kernel != 3))) {
    return std::nullopt;
  }
  const ConvShape s{o.in_channels(),          o.out_channels(),         x.size(2), x.size(3),
                    static_cast<int>(kernel), static_cast<int>(stride), enlarge};
  if (!is_ours(s) && !is_wide(s)) return std::nullopt;
  return s;
}

/// Runs body(first image, images, part) on the worker's threads.
template <class Body>
void over_images(std::int64_t images, const Body& body) {
  const std::int64_t parts = std::min<std::int64_t>(images, at::get_num_threads());
  if (parts <= 1) return body(0, images, 0);
  at::parallel_for(0, parts, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t part = begin; part < end; ++part) {
      const std::int64_t first = images * part / parts;
      body(first, images * (part + 1) / parts - first, part);
    }
  });
}

at::Tensor forward(const ConvShape& s, const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                   const at::Tensor& shift, const at::Tensor& residual) {
  const ProfileSpan span([&] { return described("conv_forward", s); });
  at::Tensor y = at::empty({x.size(0), s.out, s.out_height(), s.out_width()}, x.options(), kLast);
  const std::int64_t x_size = s.in * s.height * s.width, y_size = s.out * s.out_height() * s.out_width();
  const float *const from = x.const_data_ptr<float>(), *const w = weight.const_data_ptr<float>();
  const float *const b = data_or_null(bias), *const added = data_or_null(shift), *const kept = data_or_null(residual);
  float* const to = y.mutable_data_ptr<float>();
  over_images(x.size(0), [&](std::int64_t first, std::int64_t count, std::int64_t) {
    kernels().conv_forward(s, count, from + first * x_size, w, b, added == nullptr ? nullptr : added + first * s.out,
                           kept == nullptr ? nullptr : kept + first * y_size, to + first * y_size);
  });
  return y;
}

at::Tensor backward_input(const ConvShape& s, const at::Tensor& weight, const at::Tensor& dy) {
  const ProfileSpan span([&] { return described("conv_backward_input", s); });
  at::Tensor dx = at::empty({dy.size(0), s.in, s.height, s.width}, dy.options(), kLast);
  const std::int64_t x_size = s.in * s.height * s.width, y_size = s.out * s.out_height() * s.out_width();
  const float *const w = weight.const_data_ptr<float>(), *const from = dy.const_data_ptr<float>();
  float* const to = dx.mutable_data_ptr<float>();
  over_images(dy.size(0), [&](std::int64_t first, std::int64_t count, std::int64_t) {
    kernels().conv_backward_input(s, count, w, from + first * y_size, to + first * x_size);
  });
  return dx;
}

/// The same in two phases for each chunk of tiles. Its points are to stay in the last-level cache.
at::Tensor wide_forward(const ConvShape& s, const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                        const at::Tensor& shift, const at::Tensor& residual) {
  const ProfileSpan span([&] { return described("conv_wide", s); });
  at::Tensor y = at::empty({x.size(0), s.out, s.out_height(), s.out_width()}, x.options(), kLast);
  const std::int64_t tiles = x.size(0) * kernels::wide_tiles(s), panels = s.out / kernels::kWidePanel;
  const std::int64_t chunk = std::min(tiles, std::max<std::int64_t>(16, kWideFloats / (36 * s.in) / 8 * 8));
  const at::Tensor points = at::empty({kernels::wide_points_size(s, chunk)}, x.options().memory_format(std::nullopt));
  const float *const from = x.const_data_ptr<float>(), *const w = weight.const_data_ptr<float>();
  const float *const b = data_or_null(bias), *const added = data_or_null(shift), *const kept = data_or_null(residual);
  float *const middle = points.mutable_data_ptr<float>(), *const to = y.mutable_data_ptr<float>();
  for (std::int64_t first = 0; first < tiles; first += chunk) {
    const std::int64_t count = std::min(chunk, tiles - first);
    at::parallel_for(0, count, 4, [&](std::int64_t begin, std::int64_t end) {
      kernels().wide_points(s, from, first, begin, end, count, middle);
    });
    at::parallel_for(0, panels, 1, [&](std::int64_t begin, std::int64_t end) {
      kernels().wide_outputs(s, middle, first, count, w, b, added, kept, begin, end, to);
    });
  }
  return y;
}

struct WeightGradient {
  at::Tensor weight;  ///< like the weights
  at::Tensor shift;   ///< [N, out]
};

WeightGradient backward_weight(const ConvShape& s, const at::Tensor& x, const at::Tensor& dy) {
  const ProfileSpan span([&] { return described("conv_backward_weight", s); });
  const std::int64_t parts = std::max<std::int64_t>(1, std::min<std::int64_t>(x.size(0), at::get_num_threads()));
  at::Tensor partial = at::zeros({parts * s.out, s.in, s.kernel, s.kernel}, x.options());
  at::Tensor shift = at::empty({x.size(0), s.out}, x.options());
  const std::int64_t x_size = s.in * s.height * s.width, y_size = s.out * s.out_height() * s.out_width();
  const float *const images = x.const_data_ptr<float>(), *const from = dy.const_data_ptr<float>();
  float *const weights = partial.mutable_data_ptr<float>(), *const shifts = shift.mutable_data_ptr<float>();
  over_images(x.size(0), [&](std::int64_t first, std::int64_t count, std::int64_t part) {
    kernels().conv_backward_weight(s, count, images + first * x_size, from + first * y_size,
                                   weights + part * s.out * s.in * s.kernel * s.kernel, shifts + first * s.out);
  });
  return {parts == 1 ? partial : partial.view({parts, s.out, s.in, s.kernel, s.kernel}).sum(0), shift};
}

/// Sums over rows of [rows, columns].
at::Tensor sum_of_rows(const at::Tensor& table) {
  at::Tensor sums = at::empty({table.size(1)}, table.options());
  std::vector<double> totals(static_cast<std::size_t>(table.size(1)));
  const float* value = table.const_data_ptr<float>();
  for (std::int64_t row = 0; row < table.size(0); ++row) {
    for (double& total : totals) total += *value++;
  }
  std::transform(totals.begin(), totals.end(), sums.mutable_data_ptr<float>(),
                 [](double total) { return static_cast<float>(total); });
  return sums;
}

struct SmallConvolution : torch::autograd::Function<SmallConvolution> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                            const at::Tensor& bias, const at::Tensor& shift, const at::Tensor& residual,
                            const ConvShape& s) {
    context->save_for_backward({x, weight});
    context->saved_data["stride"] = s.stride;
    context->saved_data["enlarge"] = s.enlarge;
    return worker::forward(s, x, weight, bias, shift, residual);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list grads) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1];
    const at::Tensor dy = grads[0].contiguous(kLast);
    const ConvShape s{weight.size(1),
                      weight.size(0),
                      x.size(2),
                      x.size(3),
                      static_cast<int>(weight.size(2)),
                      static_cast<int>(context->saved_data["stride"].toInt()),
                      context->saved_data["enlarge"].toBool()};
    const bool bias = context->needs_input_grad(2), shift = context->needs_input_grad(3);
    at::Tensor dx, dweight, dbias, dshift;
    if (context->needs_input_grad(0)) dx = backward_input(s, weight, dy);
    if (context->needs_input_grad(1) || bias) {
      WeightGradient gradient = backward_weight(s, x, dy);
      dweight = gradient.weight;
      if (bias) dbias = sum_of_rows(gradient.shift);
      if (shift) dshift = gradient.shift;
    } else if (shift) {
      dshift = dy.sum({2, 3});  // fixed weights: gradients of single images
    }
    return {dx, dweight, dbias, dshift, context->needs_input_grad(4) ? dy : at::Tensor(), at::Tensor()};
  }
};

/// The way back is LibTorch's.
struct WideConvolution : torch::autograd::Function<WideConvolution> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                            const at::Tensor& bias, const at::Tensor& shift, const at::Tensor& residual,
                            const ConvShape& s) {
    context->save_for_backward({x, weight});
    context->saved_data["enlarge"] = s.enlarge;
    return wide_forward(s, x, weight, bias, shift, residual);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list grads) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1];
    const at::Tensor dy = grads[0].contiguous(kLast);
    const bool enlarge = context->saved_data["enlarge"].toBool();
    const std::vector<std::int64_t> size{2 * x.size(2), 2 * x.size(3)};
    const at::Tensor seen = enlarge ? at::upsample_nearest2d(x, size, 2.0, 2.0) : x;
    auto [dx, dweight, dbias] = at::convolution_backward(
        dy, seen, weight, c10::IntArrayRef{weight.size(0)}, {1, 1}, {1, 1}, {1, 1}, /*transposed=*/false, {0, 0}, 1,
        {context->needs_input_grad(0), context->needs_input_grad(1), context->needs_input_grad(2)});
    if (enlarge && dx.defined()) dx = at::upsample_nearest2d_backward(dx, size, x.sizes(), 2.0, 2.0);
    const at::Tensor dshift = context->needs_input_grad(3) ? dy.sum({2, 3}) : at::Tensor();
    return {dx, dweight, dbias, dshift, context->needs_input_grad(4) ? dy : at::Tensor(), at::Tensor()};
  }
};

at::Tensor plain(torch::nn::Conv2d& conv, const at::Tensor& x, const ConvAround& around) {
  at::Tensor y = conv(around.enlarge ? at::upsample_nearest2d(x, {2 * x.size(2), 2 * x.size(3)}, 2.0, 2.0) : x);
  if (around.shift.defined()) y = y + around.shift.unsqueeze(-1).unsqueeze(-1);
  return around.residual.defined() ? around.residual + y : y;
}

at::Tensor unwatched(torch::nn::Conv2d& conv, const at::Tensor& x, const ConvAround& around) {
  const auto s = shape_of(conv, x, around.enlarge);
  if (!s) return plain(conv, x, around);
  const at::Tensor input = x.contiguous(kLast), weight = conv->weight.contiguous();
  static const at::Tensor none = [] {
    const c10::InferenceMode recordable(false);
    return at::empty({0});
  }();
  at::Tensor shift = none, residual = none;
  if (around.shift.defined()) {
    shift = around.shift.size(0) == x.size(0) ? around.shift : around.shift.expand({x.size(0), s->out});
    shift = shift.contiguous();
  }
  if (around.residual.defined()) residual = around.residual.contiguous(kLast);
  const bool recorded =
      at::GradMode::is_enabled() && !x.is_inference() &&
      (x.requires_grad() || weight.requires_grad() || shift.requires_grad() || residual.requires_grad());
  const at::Tensor& bias = conv->bias.defined() ? conv->bias : none;
  if (!is_ours(*s)) {
    return recorded ? WideConvolution::apply(input, weight, bias, shift, residual, *s)
                    : wide_forward(*s, input, weight, bias, shift, residual);
  }
  return recorded ? SmallConvolution::apply(input, weight, bias, shift, residual, *s)
                  : forward(*s, input, weight, bias, shift, residual);
}

}  // namespace

at::Tensor convolve(torch::nn::Conv2d& conv, const at::Tensor& x, const ConvAround& around) {
  at::Tensor y = unwatched(conv, x, around);
  watch_convolution(conv, x, around.enlarge, y);
  return y;
}

}  // namespace guda::worker
