#include "worker/diffusion/noise.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>

#include "common/error.hpp"
#include "worker/diffusion/normal.hpp"

// Compiled with -O3 -ffp-contract=off -fno-math-errno (worker/CMakeLists.txt): vectorised over counters, and no fused
// multiply-add, which would make the bits depend on the processor.
// Sanitizers instrument the resolver that picks a clone, which runs before they are ready: no clones for them.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)
#define GUDA_VECTOR_CLONES __attribute__((target_clones("avx2", "default")))
#else
#define GUDA_VECTOR_CLONES
#endif

namespace guda::worker {
namespace {

using normal::box_muller;
using normal::kRounds;
using normal::kWeyl0;
using normal::kWeyl1;
using normal::philox_round;
using normal::Stream;

constexpr std::size_t kBlocks = 16;  // counters handled side by side: two AVX2 registers of words

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
  const Stream stream = normal::stream_of(seed, query_id, timestep << 16 | draw);
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
