// One pass over memory for each step of the optimizer: as operations of a library they cost more in calls than in
// arithmetic where a network has a hundred small tensors (docs/performance.md).
#include "worker/kernels/lanes.hpp"
#include "worker/kernels/sets.hpp"

namespace guda::worker::kernels::GUDA_ISA {
namespace {

/// Runs body(load, store, first) over n numbers, a vector at a time; the last one may be partial.
template <class Body>
GUDA_INLINE void over_numbers(std::int64_t n, Body&& body) {
  std::int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    body([](const float* from) __attribute__((always_inline)) { return load(from); },
         [](float* to, Lanes v) __attribute__((always_inline)) { store(to, v); }, i);
  }
  if (const std::int64_t left = n - i; left > 0) {
    body([left](const float* from) __attribute__((always_inline)) { return load_part(from, left); },
         [left](float* to, Lanes v) __attribute__((always_inline)) { store_part(to, v, left); }, i);
  }
}

GUDA_INLINE Lanes square_root(Lanes x) {
#if defined(__AVX512F__)
  return reinterpret_cast<Lanes>(_mm512_maskz_sqrt_ps(0xFFFF, reinterpret_cast<__m512>(x)));
#else
  for (std::int64_t l = 0; l < kLanes; ++l) x[l] = __builtin_sqrtf(x[l]);
  return x;
#endif
}

}  // namespace

double sum_of_squares(std::int64_t n, const float* x) {
  // Short sums in float32, which are added up in float64.
  constexpr std::int64_t kShort = 64 * kLanes, kAtOnce = 4;
  double sum = 0;
  for (std::int64_t first = 0; first < n; first += kShort) {
    const std::int64_t count = n - first < kShort ? n - first : kShort;
    Lanes total[kAtOnce] = {};
    std::int64_t i = 0;
    for (; i + kAtOnce * kLanes <= count; i += kAtOnce * kLanes) {
      for (int v = 0; v < kAtOnce; ++v) {
        const Lanes value = load(x + first + i + v * kLanes);
        total[v] += value * value;
      }
    }
    over_numbers(count - i, [&](auto get, auto, std::int64_t at) __attribute__((always_inline)) {
      const Lanes value = get(x + first + i + at);
      total[0] += value * value;
    });
    const Lanes all = (total[0] + total[1]) + (total[2] + total[3]);
    for (std::int64_t l = 0; l < kLanes; ++l) sum += double(all[l]);
  }
  return sum;
}

void adamw(const AdamWStep& s, std::int64_t n, const float* gradient, float* parameter, float* first, float* second) {
  over_numbers(n, [&](auto get, auto put, std::int64_t i) __attribute__((always_inline)) {
    const Lanes g = get(gradient + i) * s.gradient_scale;
    Lanes m = get(first + i), v = get(second + i);
    m += (g - m) * s.new_first;
    v = v * s.beta2 + g * g * s.new_second;
    put(first + i, m);
    put(second + i, v);
    put(parameter + i, get(parameter + i) * s.kept - m * s.size / (square_root(v) * s.second_scale + s.eps));
  });
}

void move_towards(float weight, std::int64_t n, const float* target, float* average) {
  over_numbers(n, [&](auto get, auto put, std::int64_t i) __attribute__((always_inline)) {
    const Lanes from = get(average + i), to = get(target + i);
    put(average + i, weight < 0.5F ? from + (to - from) * weight : to - (to - from) * (1.0F - weight));
  });
}

}  // namespace guda::worker::kernels::GUDA_ISA
