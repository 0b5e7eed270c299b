#pragma once
// e^x of a vector. Only for the sources of kernels.hpp, as lanes.hpp.
#include "worker/kernels/lanes.hpp"

namespace guda::worker::kernels::GUDA_ISA {
namespace {

/// e^x for |x| <= 87 (clamped), relative error below 2e-7: 2^n times a polynomial on [-ln2/2, ln2/2] (Cephes expf).
GUDA_INLINE Lanes exponential(Lanes x) {
  const Lanes low = Lanes{} - 87.0F, high = Lanes{} + 87.0F;
  x = x < low ? low : x;
  x = x > high ? high : x;
  const Lanes shifted = x * 1.44269504F + 12582912.0F;  // rounds to an integer in the low mantissa bits
  const Lanes n = shifted - 12582912.0F;
  const Lanes r = (x - n * 0.693359375F) + n * 2.12194440e-4F;
  Lanes p = r * 1.9875691500e-4F + 1.3981999507e-3F;
  p = p * r + 8.3334519073e-3F;
  p = p * r + 4.1665795894e-2F;
  p = p * r + 1.6666665459e-1F;
  p = p * r + 5.0000001201e-1F;
  p = p * (r * r) + r + 1.0F;
  IntLanes bits;
  std::memcpy(&bits, &shifted, sizeof bits);
  bits = (bits - 0x4B400000 + 127) << 23;
  Lanes scale;
  std::memcpy(&scale, &bits, sizeof scale);
  return p * scale;
}

}  // namespace
}  // namespace guda::worker::kernels::GUDA_ISA
