#include <torch/torch.h>

#include <algorithm>
#include <cmath>

#include "common/clock.hpp"
#include "worker/bench/bench_parts.hpp"
#include "worker/device/device_health.hpp"

namespace guda::worker {
namespace {

/// Doubles `size` from `first` to `last` while the next one fits; every size adds to the peak, the best is the row.
template <class Make, class Flops>
void grow_size(Bench& bench, Json head, std::int64_t first, std::int64_t last, const Make& make, const Flops& flops) {
  const torch::NoGradGuard no_grad;
  const std::string dtype = head.at("dtype").get<std::string>();
  const double allowance = bench.allowance(), begin = steady_seconds();
  double best = 0;
  for (std::int64_t size = first; size <= last; size *= 2) {
    const double left = allowance - (steady_seconds() - begin);
    if (size > first && 4 * flops(size) / bench.peak(dtype) > left) break;
    const auto once = make(size);
    const Repeated repeated = repeat(left / 3, 10, once, steady_seconds);
    const double rate = flops(size) / repeated.median;
    bench.found_peak(dtype, rate);
    if (rate <= best) continue;
    best = rate;
    head["size"] = size;
    head["seconds"] = repeated.median;
    head["spread"] = repeated.spread;
    head["times"] = repeated.times;
    head["flops"] = flops(size);
    head["flops_per_second"] = rate;
  }
  bench.add(std::move(head));
}

}  // namespace

std::vector<double> weights_of_peaks(torch::Device device) {
  return std::vector<double>(2 * bench_types(device).size(), 2.0);
}

void bench_peaks(Bench& bench) {
  for (const torch::ScalarType type : bench_types(bench.device())) {
    const auto options = torch::TensorOptions().dtype(type).device(bench.device());
    const auto head = [&](const char* name) { return Json{{"name", name}, {"dtype", type_name(type)}}; };
    // Random numbers: zeros let a GPU clock higher.
    grow_size(
        bench, head("peak matmul"), 256, 8192,
        [&](std::int64_t n) -> std::function<void()> {
          const torch::Tensor a = torch::randn({n, n}, options), b = torch::randn({n, n}, options);
          return [a, b, device = bench.device()] {
            const torch::NoGradGuard no_grad;
            (void)torch::mm(a, b);
            synchronize(device);
          };
        },
        [](std::int64_t n) { return 2 * std::pow(double(n), 3); });
    constexpr std::int64_t kChannels = 256, kSide = 16;
    grow_size(
        bench, head("peak convolution"), 1, 512,
        [&](std::int64_t n) -> std::function<void()> {
          const torch::Tensor x =
              torch::randn({n, kChannels, kSide, kSide}, options).contiguous(torch::MemoryFormat::ChannelsLast);
          const torch::Tensor w =
              torch::randn({kChannels, kChannels, 3, 3}, options).contiguous(torch::MemoryFormat::ChannelsLast);
          return [x, w, device = bench.device()] {
            const torch::NoGradGuard no_grad;
            (void)torch::conv2d(x, w, {}, 1, 1);
            synchronize(device);
          };
        },
        [](std::int64_t n) { return 2.0 * double(n) * kChannels * kChannels * 9 * kSide * kSide; });
  }
}

}  // namespace guda::worker
