#include "worker/diffusion/noise.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>

#include "common/error.hpp"

// Compiled with -O3 -ffp-contract=off -fno-math-errno (worker/CMakeLists.txt): vectorised over counters, and no fused
// multiply-add, which would make the bits depend on the processor.
// Sanitizers instrument the resolver that picks a clone, which runs before they are ready: no clones for them.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)
#define GUDA_VECTOR_CLONES __attribute__((target_clones("avx2", "default")))
#else
#define GUDA_VECTOR_CLONES
#endif
#define GUDA_INLINE __attribute__((always_inline)) inline

namespace guda::worker {
namespace {

constexpr std::uint32_t kMultiplier0 = 0xD2511F53U, kMultiplier1 = 0xCD9E8D57U;
constexpr std::uint32_t kWeyl0 = 0x9E3779B9U, kWeyl1 = 0xBB67AE85U;
constexpr int kRounds = 10;

GUDA_INLINE void philox_round(std::uint32_t& c0, std::uint32_t& c1, std::uint32_t& c2, std::uint32_t& c3,
                              std::uint32_t k0, std::uint32_t k1) {
  const std::uint64_t p0 = static_cast<std::uint64_t>(kMultiplier0) * c0;
  const std::uint64_t p1 = static_cast<std::uint64_t>(kMultiplier1) * c2;
  c0 = static_cast<std::uint32_t>(p1 >> 32) ^ c1 ^ k0;
  c2 = static_cast<std::uint32_t>(p0 >> 32) ^ c3 ^ k1;
  c1 = static_cast<std::uint32_t>(p1);
  c3 = static_cast<std::uint32_t>(p0);
}

/// Natural logarithm of a normal positive float; the polynomial of Cephes logf (Moshier), about 1 ulp.
GUDA_INLINE float log_of(float x) {
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
GUDA_INLINE void box_muller(std::uint32_t radius_word, std::uint32_t angle_word, float& first, float& second) {
  // (k + 1/2) / 2^31 for 31 bits: never 0; conversion of a signed word is one instruction everywhere.
  const float u = (static_cast<float>(static_cast<std::int32_t>(radius_word >> 1)) + 0.5F) * 0x1p-31F;
  const float radius = std::sqrt(std::max(-2.0F * log_of(u), 0.0F));

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

constexpr std::size_t kBlocks = 16;  // counters handled side by side: two AVX2 registers of words

struct Stream {
  std::uint32_t k0, k1, c1, c2, c3;
};

/// Normals of the counters first_block .. first_block + kBlocks - 1.
GUDA_VECTOR_CLONES void fill_blocks(const Stream& stream, std::uint32_t first_block, float* __restrict out) {
  std::uint32_t c0[kBlocks], c1[kBlocks], c2[kBlocks], c3[kBlocks];
  float n0[kBlocks], n1[kBlocks], n2[kBlocks], n3[kBlocks];
  for (std::size_t b = 0; b < kBlocks; ++b) {
    c0[b] = first_block + static_cast<std::uint32_t>(b);
    c1[b] = stream.c1;
    c2[b] = stream.c2;
    c3[b] = stream.c3;
  }
  std::uint32_t k0 = stream.k0, k1 = stream.k1;
  for (int round = 0; round < kRounds; ++round, k0 += kWeyl0, k1 += kWeyl1) {
    for (std::size_t b = 0; b < kBlocks; ++b) philox_round(c0[b], c1[b], c2[b], c3[b], k0, k1);
  }
  for (std::size_t b = 0; b < kBlocks; ++b) {
    box_muller(c0[b], c1[b], n0[b], n1[b]);
    box_muller(c2[b], c3[b], n2[b], n3[b]);
  }
  for (std::size_t b = 0; b < kBlocks; ++b) {
    out[4 * b] = n0[b];
    out[4 * b + 1] = n1[b];
    out[4 * b + 2] = n2[b];
    out[4 * b + 3] = n3[b];
  }
}

}  // namespace

std::array<std::uint32_t, 4> philox4x32(const std::array<std::uint32_t, 4>& counter,
                                        const std::array<std::uint32_t, 2>& key) noexcept {
  auto c = counter;
  std::uint32_t k0 = key[0], k1 = key[1];
  for (int round = 0; round < kRounds; ++round, k0 += kWeyl0, k1 += kWeyl1) {
    philox_round(c[0], c[1], c[2], c[3], k0, k1);
  }
  return c;
}

void fill_normal(std::uint64_t seed, std::uint64_t query_id, std::uint32_t timestep, std::uint32_t draw,
                 std::span<float> out) {
  if (timestep > 0xFFFFU || draw > 0xFFFFU) {
    throw Error(fmt::format("noise: timestep {} and draw {} must be below 65536", timestep, draw));
  }
  if (out.size() / 4 > 0xFFFFFFF0ULL) {
    throw Error(fmt::format("noise: {} elements exceed one counter range of 2^34", out.size()));
  }
  const Stream stream{.k0 = static_cast<std::uint32_t>(seed),
                      .k1 = static_cast<std::uint32_t>(seed >> 32),
                      .c1 = static_cast<std::uint32_t>(query_id),
                      .c2 = static_cast<std::uint32_t>(query_id >> 32),
                      .c3 = timestep << 16 | draw};
  constexpr std::size_t kStride = 4 * kBlocks;
  std::size_t done = 0;
  for (; done + kStride <= out.size(); done += kStride) {
    fill_blocks(stream, static_cast<std::uint32_t>(done / 4), out.data() + done);
  }
  if (done < out.size()) {
    float tail[kStride];
    fill_blocks(stream, static_cast<std::uint32_t>(done / 4), tail);
    std::copy_n(tail, out.size() - done, out.data() + done);
  }
}

}  // namespace guda::worker
