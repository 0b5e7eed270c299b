#pragma once
// Vectors of the instruction set that this translation unit is compiled for. Only for the sources of kernels.hpp: they
// are compiled with flags of their own, so that nothing inline that another unit may share belongs in them.
#if defined(__AVX512F__)
#include <immintrin.h>
#endif

#include <cstdint>
#include <cstring>

#if !defined(GUDA_ISA)
#error "compiled once per instruction set with -DGUDA_ISA=<name>: worker/CMakeLists.txt"
#endif
#define GUDA_INLINE __attribute__((always_inline)) inline
// A register block, kept out of its caller: inlined, its addresses are shared with the loops around it and no longer
// fit the registers.
#define GUDA_BLOCK __attribute__((noinline))

namespace guda::worker::kernels::GUDA_ISA {
namespace {

#if defined(__AVX512F__)
constexpr std::int64_t kLanes = 16;
#elif defined(__AVX2__)
constexpr std::int64_t kLanes = 8;
#else
constexpr std::int64_t kLanes = 4;
#endif
typedef float Lanes __attribute__((vector_size(4 * kLanes)));
typedef std::int32_t IntLanes __attribute__((vector_size(4 * kLanes)));

GUDA_INLINE Lanes load(const float* from) {
  Lanes v;
  std::memcpy(&v, from, sizeof v);
  return v;
}
GUDA_INLINE void store(float* to, Lanes v) { std::memcpy(to, &v, sizeof v); }
/// The sum over lanes: halves are added, then halves of that.
GUDA_INLINE float sum_of_lanes(Lanes v) {
#if defined(__AVX512F__)
  __m256 half[2];
  std::memcpy(half, &v, sizeof half);
  const __m256 eight = _mm256_add_ps(half[0], half[1]);
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
#else
  alignas(64) float lanes[kLanes];
  store(lanes, v);
  for (std::int64_t width = kLanes / 2; width > 0; width /= 2) {
    for (std::int64_t l = 0; l < width; ++l) lanes[l] += lanes[l + width];
  }
  return lanes[0];
#endif
}
/// The first n lanes; the others are 0.
GUDA_INLINE Lanes load_part(const float* from, std::int64_t n) {
#if defined(__AVX512F__)
  return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1U << n) - 1), from);
#else
  Lanes v{};
  for (std::int64_t i = 0; i < n; ++i) v[i] = from[i];
  return v;
#endif
}
GUDA_INLINE void store_part(float* to, Lanes v, std::int64_t n) {
#if defined(__AVX512F__)
  _mm512_mask_storeu_ps(to, static_cast<__mmask16>((1U << n) - 1), v);
#else
  for (std::int64_t i = 0; i < n; ++i) to[i] = v[i];
#endif
}

}  // namespace
}  // namespace guda::worker::kernels::GUDA_ISA
