#include <ATen/ATen.h>
#include <ATen/SDPBackend.h>
#include <ATen/cuda/CUDAEvent.h>
#include <fmt/format.h>
#include <torch/torch.h>

#include <algorithm>
#include <array>
#include <limits>
#include <map>
#include <optional>
#include <tuple>

#include "worker/device/attention_choice.hpp"

namespace guda::worker {
namespace {

struct Backend {
  const char* name;
  bool flash, memory_efficient, cudnn, math;
};
constexpr std::array kBackends{Backend{"flash", true, false, false, false},
                               Backend{"memory-efficient", false, true, false, false},
                               Backend{"cuDNN", false, false, true, false}, Backend{"math", false, false, false, true}};
constexpr std::size_t kMath = 3;
constexpr int kWarmUps = 2, kRuns = 5;
/// Scores of the plain implementation lie in memory as a whole; beyond this they are not even timed.
constexpr std::int64_t kMostScores = std::int64_t{1} << 28;

struct Key {
  std::array<std::int64_t, 5> shape;  ///< batch, heads, queries, keys, channels
  at::ScalarType type;
  bool gradients;
  auto operator<=>(const Key&) const = default;
};

struct Choices {
  bool by_the_clock = true;
  std::map<Key, std::size_t> backend;
  std::vector<AttentionTiming> timings;
};

Choices& choices() {
  static thread_local Choices all;
  return all;
}

/// Lets LibTorch take one implementation only.
class Only {
 public:
  explicit Only(const Backend& backend) { set(backend.flash, backend.memory_efficient, backend.cudnn, backend.math); }
  ~Only() { set(true, true, true, true); }
  Only(const Only&) = delete;
  Only& operator=(const Only&) = delete;

 private:
  static void set(bool flash, bool memory_efficient, bool cudnn, bool math) {
    at::globalContext().setSDPUseFlash(flash);
    at::globalContext().setSDPUseMemEfficient(memory_efficient);
    at::globalContext().setSDPUseCuDNN(cudnn);
    at::globalContext().setSDPUseMath(math);
  }
};

at::Tensor attend(std::size_t backend, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  const Only only(kBackends[backend]);
  return at::scaled_dot_product_attention(q, k, v);
}

/// Median of a forward pass, with gradients also of a backward pass, in microseconds; none where it does not take the
/// shape.
std::optional<double> time_of(std::size_t backend, const Key& key, const at::TensorOptions& options) {
  const auto [batch, heads, queries, keys, channels] = key.shape;
  if (backend == kMath && batch * heads * queries * keys > kMostScores) return std::nullopt;
  try {
    const c10::InferenceMode recordable(false);
    const at::AutoGradMode gradients(key.gradients);
    // Tokens lie before heads in memory, as in a network. Numbers without a generator: its state belongs to the job.
    const auto drawn = [&](std::int64_t tokens) {
      const at::Tensor numbers = at::arange(batch * tokens * heads * channels, options.dtype(at::kFloat));
      const at::Tensor spread = (numbers * 0.618034).frac() - 0.5;
      return spread.to(key.type)
          .view({batch, tokens, heads, channels})
          .transpose(1, 2)
          .set_requires_grad(key.gradients);
    };
    std::vector<double> times;
    for (int run = 0; run < kWarmUps + kRuns; ++run) {
      at::Tensor q = drawn(queries), k = drawn(keys), v = drawn(keys);
      at::cuda::CUDAEvent begin(cudaEventDefault), end(cudaEventDefault);
      begin.record();
      const at::Tensor out = attend(backend, q, k, v);
      if (key.gradients) out.sum().backward();
      end.record();
      end.synchronize();
      if (run >= kWarmUps) times.push_back(begin.elapsed_time(end) * 1e3);
    }
    std::nth_element(times.begin(), times.begin() + kRuns / 2, times.end());
    return times[kRuns / 2];
  } catch (const c10::OutOfMemoryError&) {
    return std::nullopt;
  } catch (const c10::AcceleratorError&) {
    throw;  // the device is no more use
  } catch (const c10::Error&) {
    return std::nullopt;  // "no available kernel"
  }
}

std::size_t timed_choice(const Key& key, const at::TensorOptions& options) {
  AttentionTiming timing;
  timing.shape = fmt::format("{}x{}x{}x{}x{} {}{}", key.shape[0], key.shape[1], key.shape[2], key.shape[3],
                             key.shape[4], at::toString(key.type), key.gradients ? " with gradients" : "");
  std::size_t best = kMath;
  double least = std::numeric_limits<double>::infinity();
  for (std::size_t b = 0; b < kBackends.size(); ++b) {
    const auto took = time_of(b, key, options);
    if (!took) continue;
    timing.microseconds.emplace_back(kBackends[b].name, *took);
    if (*took < least) {
      least = *took;
      best = b;
    }
  }
  timing.chosen = kBackends[best].name;
  choices().timings.push_back(std::move(timing));
  return best;
}

}  // namespace

void choose_attention(bool by_the_clock) {
  if (choices().by_the_clock == by_the_clock) return;
  choices() = {};
  choices().by_the_clock = by_the_clock;
}

at::Tensor gpu_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  if (!choices().by_the_clock) return attend(kMath, q, k, v);
  const bool gradients = at::GradMode::is_enabled() && (q.requires_grad() || k.requires_grad() || v.requires_grad());
  const Key key{{q.size(0), q.size(1), q.size(2), k.size(2), q.size(3)}, q.scalar_type(), gradients};
  const auto [found, is_new] = choices().backend.try_emplace(key, kMath);
  if (is_new) found->second = timed_choice(key, q.options());
  return attend(found->second, q, k, v);
}

std::vector<AttentionTiming> attention_timings() { return choices().timings; }

}  // namespace guda::worker
