#include "worker/models/dropout.hpp"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <mutex>

#include "worker/kernels/kernels.hpp"
#include "worker/profile/span.hpp"

namespace guda::worker {
namespace {

std::uint64_t next_key() {
  at::Generator generator = at::detail::getDefaultCPUGenerator();
  const std::lock_guard lock(generator.mutex());
  return at::check_generator<at::CPUGeneratorImpl>(generator)->random64();
}

/// y has the strides of x.
at::Tensor masked(const at::Tensor& x, std::uint64_t key, std::uint32_t dropped) {
  const ProfileSpan span("guda::dropout");
  at::Tensor y = at::empty_like(x);
  const float* const from = x.const_data_ptr<float>();
  float* const to = y.mutable_data_ptr<float>();
  constexpr std::int64_t kGrain = 512 * kernels::kDropoutBlock;
  const std::int64_t parts = (x.numel() + kGrain - 1) / kGrain;
  at::parallel_for(0, parts, 1, [&](std::int64_t begin, std::int64_t end) {
    const std::int64_t first = begin * kGrain, count = std::min(end * kGrain, x.numel()) - first;
    kernels::kernels().dropout(key, dropped, first, count, from + first, to + first);
  });
  return y;
}

struct KeyedDropout : torch::autograd::Function<KeyedDropout> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x, std::int64_t key,
                            std::int64_t dropped) {
    context->saved_data["key"] = key;
    context->saved_data["dropped"] = dropped;
    context->saved_data["channels_last"] = x.is_contiguous(at::MemoryFormat::ChannelsLast);
    return masked(x, static_cast<std::uint64_t>(key), static_cast<std::uint32_t>(dropped));
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list grads) {
    // In the order in memory that the forward pass saw.
    const at::Tensor dy = grads[0].contiguous(
        context->saved_data["channels_last"].toBool() ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous);
    return {masked(dy, static_cast<std::uint64_t>(context->saved_data["key"].toInt()),
                   static_cast<std::uint32_t>(context->saved_data["dropped"].toInt())),
            at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor dropout(const at::Tensor& x, double p) {
  const bool dense = x.dim() == 4 && (x.is_contiguous(at::MemoryFormat::ChannelsLast) || x.is_contiguous());
  if (!x.is_cpu() || x.scalar_type() != at::kFloat || !dense) return at::dropout(x, p, true);
  const auto dropped = static_cast<std::int64_t>(std::clamp(std::lround(p * 65536), 0L, 65535L));
  return KeyedDropout::apply(x, static_cast<std::int64_t>(next_key()), dropped);
}

}  // namespace guda::worker
