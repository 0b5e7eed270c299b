#include <ATen/Context.h>
#include <fmt/format.h>
#include <torch/torch.h>

#include "worker/bench/bench_parts.hpp"
#include "worker/device/device_health.hpp"
#include "worker/models/attention.hpp"

namespace guda::worker {
namespace {

struct Shape {
  const char* network;
  std::int64_t batch, heads, tokens, channels;  // channels of a head
};
constexpr Shape kShapes[] = {{"cifar10, 16 x 16", 8, 32, 256, 8}, {"sd15, 64 x 64", 1, 8, 4096, 40}};
constexpr const char* kBackends[] = {"guda", "flash", "memory-efficient", "cudnn", "math"};

/// OnlyBackend this one is allowed while it lives.
class OnlyBackend {
 public:
  explicit OnlyBackend(const std::string& backend) {
    at::Context& context = at::globalContext();
    context.setSDPUseFlash(backend == "flash");
    context.setSDPUseMemEfficient(backend == "memory-efficient");
    context.setSDPUseCuDNN(backend == "cudnn");
    context.setSDPUseMath(backend == "math");
  }
  OnlyBackend(const OnlyBackend&) = delete;
  OnlyBackend& operator=(const OnlyBackend&) = delete;
  ~OnlyBackend() {
    at::Context& context = at::globalContext();
    context.setSDPUseFlash(true);
    context.setSDPUseMemEfficient(true);
    context.setSDPUseCuDNN(true);
    context.setSDPUseMath(true);
  }
};

}  // namespace

std::vector<double> weights_of_attention(torch::Device device) {
  return std::vector<double>(std::size(kShapes) * std::size(kBackends) * bench_types(device).size(), 0.3);
}

void bench_attention(Bench& bench) {
  const torch::Device device = bench.device();
  for (const torch::ScalarType type : bench_types(device)) {
    for (const Shape& s : kShapes) {
      for (const std::string backend : kBackends) {
        const Json head{
            {"name", fmt::format("attention {}", backend)}, {"network", s.network}, {"dtype", type_name(type)}};
        const bool cuda_only = backend == "memory-efficient" || backend == "cudnn";
        if (device.is_cpu() && cuda_only) {
          bench.leave_out(head, "CUDA only");
          continue;
        }
        if (backend == "guda" && (!device.is_cpu() || s.channels > 16)) {
          bench.leave_out(head, "our own kernels are for heads of 8 and 16 channels on the CPU");
          continue;
        }
        const double flops = 4.0 * double(s.batch * s.heads * s.tokens * s.tokens * s.channels);
        bench.measure({.head = head,
                       .expected = 2 * flops / (0.1 * bench.peak(type_name(type))),
                       .memory = 8.0 * double(s.batch * s.heads * s.tokens * s.tokens),
                       .flops = flops,
                       .make = [&, backend]() -> std::function<void()> {
                         const auto options = torch::TensorOptions().dtype(type).device(device);
                         const auto some = [&] {
                           return torch::randn({s.batch, s.tokens, s.heads * s.channels}, options);
                         };
                         const torch::Tensor q = some(), k = some(), v = some();
                         return [=] {
                           const c10::InferenceMode inference;
                           if (backend == "guda") {
                             (void)attention(q, k, v, s.heads);
                           } else {
                             const OnlyBackend only(backend);
                             const auto split = [&](const torch::Tensor& t) {
                               return t.unflatten(2, {s.heads, -1}).transpose(1, 2);
                             };
                             (void)at::scaled_dot_product_attention(split(q), split(k), split(v));
                           }
                           synchronize(device);
                         };
                       }});
      }
    }
  }
}

}  // namespace guda::worker
