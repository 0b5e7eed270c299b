// Times the convolutions of the digits network, ours and LibTorch's in turn on the same channels-last images, and what
// the core can do at most. Prints one JSON line; ./run bench kernels
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>
#include <fmt/format.h>
#include <time.h>

#include <algorithm>
#include <functional>

#include "common/json.hpp"
#include "worker/kernels/kernels.hpp"

namespace {

using guda::Json;
using guda::worker::kernels::ConvShape;
using guda::worker::kernels::kernels;

constexpr std::int64_t kImages = 64;
constexpr at::MemoryFormat kLast = at::MemoryFormat::ChannelsLast;

/// Processor seconds of this thread: other work on the machine does not count.
double cpu_seconds() {
  timespec t{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return double(t.tv_sec) + double(t.tv_nsec) * 1e-9;
}

double median(std::vector<double> v) {
  std::nth_element(v.begin(), v.begin() + std::ptrdiff_t(v.size() / 2), v.end());
  return v[v.size() / 2];
}

/// Median seconds of both sides, in turns.
std::pair<double, double> in_turns(const std::function<void()>& a, const std::function<void()>& b) {
  std::vector<double> first, second;
  for (int i = 0; i < 12; ++i) {
    double begin = cpu_seconds();
    a();
    const double middle = cpu_seconds();
    b();
    if (i < 2) continue;  // warm-up
    first.push_back(middle - begin);
    second.push_back(cpu_seconds() - middle);
  }
  return {median(first), median(second)};
}

/// GFLOP/s of independent fused multiply-adds in registers.
double peak() {
#if defined(__x86_64__)
  double best = 0;
  for (int round = 0; round < 5; ++round) {
    constexpr long kLoops = 4000000;
    const double begin = cpu_seconds();
    for (long i = 0; i < kLoops; ++i) {
      asm volatile(
          "vfmadd213ps %%ymm0,%%ymm0,%%ymm1; vfmadd213ps %%ymm0,%%ymm0,%%ymm2; vfmadd213ps %%ymm0,%%ymm0,%%ymm3; "
          "vfmadd213ps %%ymm0,%%ymm0,%%ymm4;"
          "vfmadd213ps %%ymm0,%%ymm0,%%ymm5; vfmadd213ps %%ymm0,%%ymm0,%%ymm6; vfmadd213ps %%ymm0,%%ymm0,%%ymm7; "
          "vfmadd213ps %%ymm0,%%ymm0,%%ymm8;"
          "vfmadd213ps %%ymm0,%%ymm0,%%ymm9; vfmadd213ps %%ymm0,%%ymm0,%%ymm10" ::
              : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10");
    }
    best = std::max(best, kLoops * 10 * 16 / (cpu_seconds() - begin) / 1e9);
  }
  return best;
#else
  return 0;
#endif
}

Json measure(const ConvShape& s) {
  const at::Tensor x = at::randn({kImages, s.in, s.height, s.width}).contiguous(kLast),
                   w = at::randn({s.out, s.in, s.kernel, s.kernel});
  const at::Tensor bias = at::randn({s.out});
  const std::int64_t pad = s.kernel / 2;
  const auto enlarged = [&] { return s.enlarge ? at::upsample_nearest2d(x, {2 * s.height, 2 * s.width}) : x; };
  at::Tensor y = at::conv2d(enlarged(), w, bias, s.stride, pad).contiguous(kLast);
  const at::Tensor dy = at::randn_like(y);
  at::Tensor dx = at::empty_like(x), dw = at::zeros_like(w), dshift = at::empty({kImages, s.out});
  const auto [forward, forward_theirs] = in_turns(
      [&] {
        kernels().conv_forward(s, kImages, x.data_ptr<float>(), w.data_ptr<float>(), bias.data_ptr<float>(), nullptr,
                               nullptr, y.data_ptr<float>());
      },
      [&] { at::conv2d(enlarged(), w, bias, s.stride, pad); });
  const at::Tensor input = enlarged();
  const auto [backward, backward_theirs] = in_turns(
      [&] {
        kernels().conv_backward_input(s, kImages, w.data_ptr<float>(), dy.data_ptr<float>(), dx.data_ptr<float>());
        kernels().conv_backward_weight(s, kImages, x.data_ptr<float>(), dy.data_ptr<float>(), dw.data_ptr<float>(),
                                       dshift.data_ptr<float>());
      },
      [&] {
        const auto gradients = at::convolution_backward(dy, input, w, at::IntArrayRef{s.out}, {s.stride, s.stride},
                                                        {pad, pad}, {1, 1}, false, {0, 0}, 1, {true, true, true});
        if (s.enlarge) {
          at::upsample_nearest2d_backward(std::get<0>(gradients), {2 * s.height, 2 * s.width},
                                          {kImages, s.in, s.height, s.width});
        }
      });
  const double flop = 2.0 * double(kImages * s.out_height() * s.out_width() * s.in * s.out * s.kernel * s.kernel);
  return {{"shape", fmt::format("{}->{} {}x{}{}{}{}", s.in, s.out, s.height, s.width, s.kernel == 1 ? " 1x1" : "",
                                s.stride == 2 ? " stride 2" : "", s.enlarge ? " enlarged" : "")},
          {"forward_us", forward * 1e6},
          {"forward_gflops", flop / forward / 1e9},
          {"forward_libtorch_us", forward_theirs * 1e6},
          {"backward_us", backward * 1e6},
          {"backward_gflops", 2 * flop / backward / 1e9},
          {"backward_libtorch_us", backward_theirs * 1e6}};
}

}  // namespace

int main() {
  at::set_num_threads(1);
  const c10::InferenceMode no_gradients;
  Json rows = Json::array();
  for (const ConvShape& s : {ConvShape{16, 16, 8, 8},
                             ConvShape{48, 16, 8, 8},
                             ConvShape{32, 16, 8, 8},
                             ConvShape{16, 16, 8, 8, 3, 2},
                             ConvShape{32, 32, 4, 4},
                             ConvShape{64, 32, 4, 4},
                             ConvShape{32, 32, 4, 4, 3, 1, true},
                             ConvShape{48, 32, 4, 4, 1},
                             ConvShape{16, 1, 8, 8},
                             ConvShape{64, 64, 16, 16},
                             ConvShape{128, 64, 16, 16},
                             ConvShape{64, 128, 8, 8},
                             ConvShape{128, 128, 8, 8},
                             ConvShape{24, 24, 16, 16},
                             ConvShape{72, 24, 16, 16},
                             ConvShape{48, 48, 8, 8},
                             ConvShape{128, 128, 32, 32},
                             ConvShape{256, 256, 16, 16},
                             ConvShape{512, 256, 8, 8},
                             ConvShape{256, 256, 4, 4},
                             ConvShape{256, 256, 16, 16, 3, 2},
                             ConvShape{256, 256, 8, 8, 3, 1, true},
                             ConvShape{512, 256, 8, 8, 1}}) {
    rows.push_back(measure(s));
  }
  fmt::print("{}\n", Json{{"isa", kernels().isa}, {"peak_gflops", peak()}, {"rows", rows}}.dump());
}
