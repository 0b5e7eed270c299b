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
// Before a loop over a register block: an array that a running index reaches is kept in memory.
#define GUDA_UNROLL _Pragma("GCC unroll 32")

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
/// sum_of_lanes of four vectors.
GUDA_INLINE void sums_of_lanes(Lanes a, Lanes b, Lanes c, Lanes d, float* sums) {
#if defined(__AVX512F__)
  const auto four = [](Lanes v) __attribute__((always_inline)) {
    const __m512 all = reinterpret_cast<__m512>(v);
    const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(all), _mm512_extractf32x8_ps(all, 1));
    return _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  };
  __m128 p = four(a), q = four(b), r = four(c), s = four(d);
  _MM_TRANSPOSE4_PS(p, q, r, s);
  _mm_storeu_ps(sums, _mm_add_ps(_mm_add_ps(p, r), _mm_add_ps(q, s)));
#else
  sums[0] = sum_of_lanes(a);
  sums[1] = sum_of_lanes(b);
  sums[2] = sum_of_lanes(c);
  sums[3] = sum_of_lanes(d);
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
/// The first n lanes, or all of them if there are more.
GUDA_INLINE Lanes load_up_to(const float* from, std::int64_t n) {
#if defined(__AVX512F__)
  return load_part(from, n < kLanes ? n : kLanes);  // a mask costs nothing
#else
  return n >= kLanes ? load(from) : load_part(from, n);
#endif
}
GUDA_INLINE void store_part(float* to, Lanes v, std::int64_t n) {
#if defined(__AVX512F__)
  _mm512_mask_storeu_ps(to, static_cast<__mmask16>((1U << n) - 1), v);
#else
  for (std::int64_t i = 0; i < n; ++i) to[i] = v[i];
#endif
}

/// Runs body<V>(channel) over `padded` channels, a multiple of kLanes, V vectors at a time: by twos, and the first
/// three together where one would be left over, if there are registers for them.
template <class Body>
GUDA_INLINE void over_vectors(std::int64_t padded, Body&& body) {
  std::int64_t c = 0;
  if (kLanes == 16 && padded > kLanes && padded / kLanes % 2 != 0) {
    body.template operator()<3>(c);
    c = 3 * kLanes;
  }
  for (; c + 2 * kLanes <= padded; c += 2 * kLanes) body.template operator()<2>(c);
  if (c < padded) body.template operator()<1>(c);
}

/// Runs body<V>(load, store, column) over all columns, V neighbouring vectors at a time, so that memory is read line by
/// line; the last vector may be partial.
template <class Body>
GUDA_INLINE void over_columns(std::int64_t columns, Body&& body) {
  const std::int64_t whole = columns / kLanes * kLanes;
  over_vectors(whole, [&]<int V>(std::int64_t c) __attribute__((always_inline)) {
    body.template operator()<V>([](const float* from) __attribute__((always_inline)) { return load(from); },
                                [](float* to, Lanes v) __attribute__((always_inline)) { store(to, v); }, c);
  });
  if (const std::int64_t left = columns - whole; left > 0) {
    body.template operator()<1>(
        [left](const float* from) __attribute__((always_inline)) { return load_part(from, left); },
        [left](float* to, Lanes v) __attribute__((always_inline)) { store_part(to, v, left); }, whole);
  }
}

}  // namespace
}  // namespace guda::worker::kernels::GUDA_ISA
