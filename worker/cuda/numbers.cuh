#pragma once
// bfloat16 without the toolkit's header, so that the kernels compile for a CPU too.
#include <bit>
#include <cmath>
#include <cstdint>

#include "worker/diffusion/normal.hpp"

namespace guda::worker::cuda {

struct Bf16 {
  std::uint16_t bits;
};

GUDA_EVERYWHERE float to_float(float x) { return x; }
GUDA_EVERYWHERE float to_float(Bf16 x) { return std::bit_cast<float>(static_cast<std::uint32_t>(x.bits) << 16); }

template <class T>
GUDA_EVERYWHERE T from_float(float x);
template <>
GUDA_EVERYWHERE float from_float<float>(float x) {
  return x;
}
/// Rounds to nearest, ties to even; NaN stays NaN.
template <>
GUDA_EVERYWHERE Bf16 from_float<Bf16>(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  if ((bits & 0x7FFFFFFFU) > 0x7F800000U) return {static_cast<std::uint16_t>(bits >> 16 | 0x40U)};
  return {static_cast<std::uint16_t>((bits + 0x7FFFU + (bits >> 16 & 1U)) >> 16)};
}

/// V numbers that are loaded and stored at once.
template <class T, int V>
struct alignas(sizeof(T) * V) Pack {
  T value[V];
};

}  // namespace guda::worker::cuda
