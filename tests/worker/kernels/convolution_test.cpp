#include "worker/models/convolution.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <torch/torch.h>

#include "worker/kernels/kernels.hpp"

namespace guda::worker {
namespace {

using kernels::ConvShape;
constexpr at::MemoryFormat kLast = at::MemoryFormat::ChannelsLast;

double relative(const at::Tensor& got, const at::Tensor& wanted) {
  return ((got - wanted).norm() / wanted.norm().clamp_min(1e-20)).item<double>();
}

/// Odd channel counts, images smaller than a register block or not made of whole tiles, every stride and window.
const ConvShape kShapes[] = {{16, 16, 8, 8},
                             {64, 32, 4, 4},
                             {1, 16, 8, 8},
                             {16, 1, 8, 8},
                             {5, 7, 6, 10},
                             {16, 16, 8, 8, 3, 2},
                             {24, 40, 5, 5, 3, 2},
                             {32, 32, 4, 4, 3, 1, true},
                             {8, 8, 2, 2, 3, 1, true},
                             {3, 5, 1, 3, 3, 1, true},
                             {48, 32, 4, 4, 1},
                             {8, 24, 2, 2},
                             {17, 33, 1, 1},
                             {33, 65, 3, 2, 1},
                             {24, 48, 16, 16},
                             {48, 16, 8, 8},
                             {20, 12, 7, 6},
                             {8, 40, 4, 12},
                             {72, 24, 8, 8},
                             {48, 8, 5, 6},
                             {40, 72, 4, 4},
                             {24, 3, 7, 5},
                             {20, 2, 4, 4, 1},
                             {33, 4, 3, 3},
                             {64, 64, 3, 4},
                             {96, 128, 16, 12},
                             {72, 24, 12, 9, 1},
                             {24, 48, 9, 13, 1},
                             {20, 48, 23, 19, 3, 2},
                             {40, 48, 10, 9, 3, 1, true},
                             {24, 3, 12, 9}};

at::Tensor reference(const at::Tensor& x, const at::Tensor& w, const at::Tensor& b, const ConvShape& s) {
  const at::Tensor in = s.enlarge ? at::upsample_nearest2d(x, {2 * s.height, 2 * s.width}) : x;
  return at::conv2d(in, w, b, s.stride, s.kernel / 2);
}

}  // namespace

TEST_CASE("wide convolutions: every instruction set equals the float64 convolution, in whatever chunks and panels") {
  torch::manual_seed(6);
  for (const kernels::Kernels* set : kernels::usable_kernels()) {
    for (const ConvShape& s : {ConvShape{48, 64, 6, 10}, {160, 32, 4, 4}, {32, 96, 5, 3, 3, 1, true}, {16, 32, 1, 1}}) {
      for (const std::int64_t images : {1, 3}) {
        CAPTURE(fmt::format("{}: {} -> {}, {}x{}, enlarge {}, {} images", set->isa, s.in, s.out, s.height, s.width,
                            s.enlarge, images));
        const at::Tensor x = at::randn({images, s.in, s.height, s.width}).contiguous(kLast),
                         w = at::randn({s.out, s.in, s.kernel, s.kernel}), bias = at::randn({s.out}),
                         shift = at::randn({images, s.out});
        const at::Tensor product = reference(x.to(at::kDouble), w.to(at::kDouble), {}, s);
        const at::Tensor residual = at::randn(product.sizes()).contiguous(kLast);
        const at::Tensor wanted = product + bias.view({1, -1, 1, 1}) + shift.view({images, -1, 1, 1}) + residual;
        const std::int64_t tiles = images * kernels::wide_tiles(s), panels = s.out / kernels::kWidePanel;
        const auto run = [&](std::int64_t chunk) {
          at::Tensor y = at::full_like(residual, NAN), points = at::empty({kernels::wide_points_size(s, chunk)});
          for (std::int64_t first = 0; first < tiles; first += chunk) {
            const std::int64_t count = std::min(chunk, tiles - first);
            for (std::int64_t t = 0; t < count; ++t)
              set->wide_points(s, x.data_ptr<float>(), first, t, t + 1, count, points.data_ptr<float>());
            for (std::int64_t panel = panels; panel-- > 0;) {
              set->wide_outputs(s, points.data_ptr<float>(), first, count, w.data_ptr<float>(), bias.data_ptr<float>(),
                                shift.data_ptr<float>(), residual.data_ptr<float>(), panel, panel + 1,
                                y.data_ptr<float>());
            }
          }
          return y;
        };
        const at::Tensor y = run(tiles);
        CHECK(relative(y, wanted) < 3e-6);
        CHECK(at::equal(run(3), y));
      }
    }
  }
}

TEST_CASE("wide convolutions: layers of many channels equal the float64 layer, forward and every gradient") {
  torch::manual_seed(7);
  struct Layer {
    std::int64_t in, out;
    bool enlarge;
  };
  for (const auto& [in, out, enlarge] : {Layer{288, 256, false}, {288, 256, true}, {1024, 512, false}}) {
    CAPTURE(in);
    CAPTURE(enlarge);
    const auto options = torch::nn::Conv2dOptions(in, out, 3).padding(1);
    torch::nn::Conv2d conv(options), exact(options);
    exact->to(torch::kDouble);
    {
      const at::NoGradGuard no_grad;
      exact->weight.copy_(conv->weight), exact->bias.copy_(conv->bias);
    }
    const auto leaf = [](const at::Tensor& t) { return t.contiguous(kLast).requires_grad_(); };
    const std::int64_t side = enlarge ? 12 : 6;
    const at::Tensor x = leaf(at::randn({2, in, 6, 6})), shift = at::randn({2, out}).requires_grad_(),
                     residual = leaf(at::randn({2, out, side, side})), dy = at::randn({2, out, side, side});
    const auto twin = [](const at::Tensor& t) { return t.detach().to(at::kDouble).requires_grad_(); };
    const at::Tensor x64 = twin(x), shift64 = twin(shift), residual64 = twin(residual);
    const at::Tensor y = convolve(conv, x, {.enlarge = enlarge, .shift = shift, .residual = residual});
    const at::Tensor wanted =
        exact(enlarge ? at::upsample_nearest2d(x64, {12, 12}) : x64) + shift64.view({2, -1, 1, 1}) + residual64;
    CHECK(relative(y, wanted) < 3e-6);
    {
      const at::NoGradGuard no_grad;
      CHECK(at::equal(convolve(conv, x, {.enlarge = enlarge, .shift = shift, .residual = residual}), y));
    }
    y.backward(dy);
    wanted.backward(dy.to(at::kDouble));
    CHECK(relative(x.grad(), x64.grad()) < 5e-6);
    CHECK(relative(shift.grad(), shift64.grad()) < 5e-6);
    CHECK(relative(residual.grad(), residual64.grad()) < 5e-6);
    CHECK(relative(conv->weight.grad(), exact->weight.grad()) < 5e-6);
    CHECK(relative(conv->bias.grad(), exact->bias.grad()) < 5e-6);
  }
}

TEST_CASE("convolution kernels: every instruction set equals the float64 convolution, forward and both gradients") {
  torch::manual_seed(5);
  for (const kernels::Kernels* set : kernels::usable_kernels()) {
    for (const ConvShape& s : kShapes) {
      for (const std::int64_t images : {1, 3, 9}) {
        CAPTURE(fmt::format("{}: {} -> {}, {}x{}, window {}, stride {}, enlarge {}, {} images", set->isa, s.in, s.out,
                            s.height, s.width, s.kernel, s.stride, s.enlarge, images));
        at::Tensor x = at::randn({images, s.in, s.height, s.width}).contiguous(kLast),
                   w = at::randn({s.out, s.in, s.kernel, s.kernel});
        const at::Tensor bias = at::randn({s.out}), shift = at::randn({images, s.out});
        at::Tensor x64 = x.to(at::kDouble).requires_grad_(), w64 = w.to(at::kDouble).requires_grad_();
        const at::Tensor product = reference(x64, w64, {}, s);
        const at::Tensor residual = at::randn(product.sizes()).contiguous(kLast),
                         dy = at::randn(product.sizes()).contiguous(kLast);
        const at::Tensor wanted = product + bias.view({1, -1, 1, 1}) + shift.view({images, -1, 1, 1}) + residual;
        wanted.backward(dy.to(at::kDouble));

        at::Tensor y = at::full_like(residual, NAN), dx = at::full_like(x, NAN), dw = at::ones_like(w),
                   dshift = at::full({images, s.out}, NAN);
        set->conv_forward(s, images, x.data_ptr<float>(), w.data_ptr<float>(), bias.data_ptr<float>(),
                          shift.data_ptr<float>(), residual.data_ptr<float>(), y.data_ptr<float>());
        set->conv_backward_input(s, images, w.data_ptr<float>(), dy.data_ptr<float>(), dx.data_ptr<float>());
        set->conv_backward_weight(s, images, x.data_ptr<float>(), dy.data_ptr<float>(), dw.data_ptr<float>(),
                                  dshift.data_ptr<float>());
        CHECK(relative(y, wanted) < 3e-6);
        CHECK(relative(dx, x64.grad()) < 2e-6);
        CHECK(relative(dw - 1, w64.grad()) < 2e-5);  // added to ones: a little cancellation
        const at::Tensor dy64 = dy.to(at::kDouble);  // its terms may cancel: held against the sum of their sizes
        CHECK((dshift - dy64.sum({2, 3})).abs().le(1e-6 * dy64.abs().sum({2, 3})).all().item<bool>());
      }
    }
  }
}

TEST_CASE("convolution: inside autograd it equals LibTorch's layer with what surrounds it") {
  torch::manual_seed(6);
  for (const ConvShape& s : kShapes) {
    for (const bool shifted : {false, true}) {
      for (const bool kept : {false, true}) {
        torch::nn::Conv2d conv(torch::nn::Conv2dOptions(s.in, s.out, s.kernel).stride(s.stride).padding(s.kernel / 2));
        const at::Tensor base = at::randn({4, s.in, s.height, s.width}).contiguous(kLast);
        at::Tensor x1 = base.clone().requires_grad_(), x2 = base.clone().requires_grad_();
        at::Tensor shift1, shift2, kept1, kept2;
        if (shifted) {
          shift1 = at::randn({1, s.out}).requires_grad_();  // one row for the whole batch
          shift2 = shift1.detach().clone().requires_grad_();
        }
        if (kept) {
          kept1 = at::randn({4, s.out, s.out_height(), s.out_width()}).requires_grad_();
          kept2 = kept1.detach().clone().requires_grad_();
        }
        const at::Tensor y1 = convolve(conv, x1, {.enlarge = s.enlarge, .shift = shift1, .residual = kept1});
        const at::Tensor up = at::randn_like(y1);
        y1.backward(up);
        const at::Tensor dw = conv->weight.grad().clone(), db = conv->bias.grad().clone();
        conv->zero_grad();
        at::Tensor y2 = reference(x2, conv->weight, conv->bias, s);
        if (shifted) y2 = y2 + shift2.unsqueeze(-1).unsqueeze(-1);
        if (kept) y2 = y2 + kept2;
        y2.backward(up);
        CHECK(relative(y1, y2) < 2e-6);
        CHECK(relative(x1.grad(), x2.grad()) < 2e-6);
        CHECK(relative(dw, conv->weight.grad()) < 2e-6);
        CHECK(relative(db, conv->bias.grad()) < 2e-5);  // sums of terms of either sign: they cancel
        if (shifted) CHECK(relative(shift1.grad(), shift2.grad()) < 2e-6);
        if (kept) CHECK(at::equal(kept1.grad(), kept2.grad()));
      }
    }
  }
}

TEST_CASE("convolution: an image's bits do not depend on the batch, the threads or gradients being recorded") {
  torch::manual_seed(7);
  torch::nn::Conv2d conv(torch::nn::Conv2dOptions(16, 24, 3).padding(1));
  const at::Tensor x = at::randn({7, 16, 2, 4}).contiguous(kLast);
  const at::Tensor all = convolve(conv, x).detach();
  const at::NoGradGuard no_grad;
  for (std::int64_t i = 0; i < 7; ++i)
    CHECK(at::equal(convolve(conv, x.slice(0, i, i + 1).contiguous(kLast)), all.slice(0, i, i + 1)));
  const int threads = at::get_num_threads();
  at::set_num_threads(3);
  CHECK(at::equal(convolve(conv, x), all));
  at::set_num_threads(threads);
}

TEST_CASE(
    "convolution: large ones of another stride or window, padded otherwise, double or grouped layers are LibTorch's") {
  const auto equals_layer = [](torch::nn::Conv2dOptions options, at::Tensor x) {
    torch::nn::Conv2d conv(options);
    conv->to(x.scalar_type());
    return at::equal(convolve(conv, x), conv(x));
  };
  CHECK(equals_layer(torch::nn::Conv2dOptions(256, 256, 3).padding(1).stride(2), at::randn({1, 256, 4, 4})));
  CHECK(equals_layer(torch::nn::Conv2dOptions(256, 256, 1), at::randn({1, 256, 4, 4})));
  CHECK(equals_layer(torch::nn::Conv2dOptions(8, 8, 3).stride(2).padding(0), at::randn({1, 8, 9, 9})));
  CHECK(equals_layer(torch::nn::Conv2dOptions(8, 8, 3).padding(1), at::randn({1, 8, 4, 4}, at::kDouble)));
  CHECK(equals_layer(torch::nn::Conv2dOptions(8, 8, 3).padding(1).groups(2), at::randn({1, 8, 4, 4})));
}

}  // namespace guda::worker
