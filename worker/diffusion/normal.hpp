#pragma once
// Counter to standard normals, one source for processors and GPUs: the bits are equal on both. Only exactly rounded
// operations and our own polynomials are used, no libm, and no fused multiply-add: whoever includes this is compiled
// with -ffp-contract=off, by nvcc with -fmad=false (worker/CMakeLists.txt).
#include <bit>
#include <cmath>
#include <cstdint>

#if defined(__CUDACC__)
#define GUDA_EVERYWHERE __host__ __device__ __forceinline__
#else
#define GUDA_EVERYWHERE __attribute__((always_inline)) inline
#endif

namespace guda::worker::normal {

inline constexpr std::uint32_t kMultiplier0 = 0xD2511F53U, kMultiplier1 = 0xCD9E8D57U;
inline constexpr std::uint32_t kWeyl0 = 0x9E3779B9U, kWeyl1 = 0xBB67AE85U;
inline constexpr int kRounds = 10;

/// One stream of counters {block, c1, c2, c3} under the key {k0, k1}.
struct Stream {
  std::uint32_t k0, k1, c1, c2, c3;
};

/// The stream of (seed, query_id, timestep << 16 | draw).
GUDA_EVERYWHERE Stream stream_of(std::uint64_t seed, std::uint64_t query_id, std::uint32_t slot) {
  return {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32),
          static_cast<std::uint32_t>(query_id), static_cast<std::uint32_t>(query_id >> 32), slot};
}

GUDA_EVERYWHERE void philox_round(std::uint32_t& c0, std::uint32_t& c1, std::uint32_t& c2, std::uint32_t& c3,
                                  std::uint32_t k0, std::uint32_t k1) {
  const std::uint64_t p0 = static_cast<std::uint64_t>(kMultiplier0) * c0;
  const std::uint64_t p1 = static_cast<std::uint64_t>(kMultiplier1) * c2;
  c0 = static_cast<std::uint32_t>(p1 >> 32) ^ c1 ^ k0;
  c2 = static_cast<std::uint32_t>(p0 >> 32) ^ c3 ^ k1;
  c1 = static_cast<std::uint32_t>(p1);
  c3 = static_cast<std::uint32_t>(p0);
}

/// Natural logarithm of a normal positive float; the polynomial of Cephes logf (Moshier), about 1 ulp.
GUDA_EVERYWHERE float log_of(float x) {
  // Splits x = m 2^e with m in [sqrt(1/2), sqrt(2)) by arithmetic on the bit pattern.
  const std::int32_t bits = std::bit_cast<std::int32_t>(x) - 0x3F3504F3;
  const float e = static_cast<float>(bits >> 23);
  const float m = std::bit_cast<float>((bits & 0x007FFFFF) + 0x3F3504F3) - 1.0F;
  const float z = m * m;
  float y = 7.0376836292e-2F;
  y = y * m - 1.1514610310e-1F;
  y = y * m + 1.1676998740e-1F;
  y = y * m - 1.2420140846e-1F;
  y = y * m + 1.4249322787e-1F;
  y = y * m - 1.6668057665e-1F;
  y = y * m + 2.0000714765e-1F;
  y = y * m - 2.4999993993e-1F;
  y = y * m + 3.3333331174e-1F;
  y = y * m * z;
  y = y - 2.12194440e-4F * e - 0.5F * z;
  return m + y + 0.693359375F * e;
}

/// Two uniform words to two independent standard normals: radius from the first word, angle from the second.
GUDA_EVERYWHERE void box_muller(std::uint32_t radius_word, std::uint32_t angle_word, float& first, float& second) {
  // (k + 1/2) / 2^31 for 31 bits: never 0; conversion of a signed word is one instruction everywhere.
  const float u = (static_cast<float>(static_cast<std::int32_t>(radius_word >> 1)) + 0.5F) * 0x1p-31F;
  const float squared = -2.0F * log_of(u);
  const float radius = std::sqrt(squared < 0.0F ? 0.0F : squared);

  // The angle is 2 pi angle_word / 2^32; its quadrant leaves a rest of at most pi / 4 on either side.
  const std::uint32_t quadrant = (angle_word + 0x20000000U) >> 30;
  const auto rest = static_cast<std::int32_t>(angle_word - (quadrant << 30));
  const float a = static_cast<float>(rest) * 1.46291807926716e-9F;
  const float z = a * a;
  const float sine = a + a * z * ((-1.9515295891e-4F * z + 8.3321608736e-3F) * z - 1.6666654611e-1F);
  const float cosine =
      1.0F - 0.5F * z + z * z * ((2.443315711809948e-5F * z - 1.388731625493765e-3F) * z + 4.166664568298827e-2F);

  // Quadrants 1 and 3 swap sine and cosine; the sign of the cosine flips in 1 and 2, that of the sine in 2 and 3.
  const std::uint32_t s = std::bit_cast<std::uint32_t>(sine), c = std::bit_cast<std::uint32_t>(cosine);
  const std::uint32_t swap = 0U - (quadrant & 1U);
  const std::uint32_t cos_bits = ((s & swap) | (c & ~swap)) ^ (((quadrant + 1U) & 2U) << 30);
  const std::uint32_t sin_bits = ((c & swap) | (s & ~swap)) ^ ((quadrant & 2U) << 30);
  first = radius * std::bit_cast<float>(cos_bits);
  second = radius * std::bit_cast<float>(sin_bits);
}

/// out[0..3] = the normals 4 block .. 4 block + 3 of a stream.
GUDA_EVERYWHERE void four_normals(const Stream& stream, std::uint32_t block, float out[4]) {
  std::uint32_t c0 = block, c1 = stream.c1, c2 = stream.c2, c3 = stream.c3, k0 = stream.k0, k1 = stream.k1;
  for (int round = 0; round < kRounds; ++round, k0 += kWeyl0, k1 += kWeyl1) philox_round(c0, c1, c2, c3, k0, k1);
  box_muller(c0, c1, out[0], out[1]);
  box_muller(c2, c3, out[2], out[3]);
}

}  // namespace guda::worker::normal
