// Dropout whose mask is a function of a key and the position, so that nobody keeps it for the backward pass.
#include "worker/kernels/lanes.hpp"
#include "worker/kernels/sets.hpp"

namespace guda::worker::kernels::GUDA_ISA {
namespace {

constexpr std::int64_t kCounters = 16;  // handled side by side; four words each, of which each decides twice

struct Words {
  std::uint32_t word[4][kCounters];
};

/// Philox4x32-10 (worker/diffusion/noise.hpp) of the counters first .. first + kCounters - 1.
GUDA_INLINE void philox(std::uint64_t key, std::uint64_t first, Words& w) {
  for (std::int64_t b = 0; b < kCounters; ++b) {
    const std::uint64_t counter = first + static_cast<std::uint64_t>(b);
    w.word[0][b] = static_cast<std::uint32_t>(counter);
    w.word[1][b] = static_cast<std::uint32_t>(counter >> 32);
    w.word[2][b] = w.word[3][b] = 0;
  }
  auto k0 = static_cast<std::uint32_t>(key), k1 = static_cast<std::uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round, k0 += 0x9E3779B9U, k1 += 0xBB67AE85U) {
    for (std::int64_t b = 0; b < kCounters; ++b) {
      const std::uint64_t p0 = std::uint64_t{0xD2511F53U} * w.word[0][b];
      const std::uint64_t p1 = std::uint64_t{0xCD9E8D57U} * w.word[2][b];
      const std::uint32_t c1 = w.word[1][b], c3 = w.word[3][b];
      w.word[0][b] = static_cast<std::uint32_t>(p1 >> 32) ^ c1 ^ k0;
      w.word[1][b] = static_cast<std::uint32_t>(p1);
      w.word[2][b] = static_cast<std::uint32_t>(p0 >> 32) ^ c3 ^ k1;
      w.word[3][b] = static_cast<std::uint32_t>(p0);
    }
  }
}

/// 2 kCounters numbers under one row of words: the low halves decide about the first kCounters.
GUDA_INLINE void drop(const std::uint32_t (&word)[kCounters], std::uint32_t dropped, float scale, const float* x,
                      float* y) {
  for (std::int64_t b = 0; b < kCounters; ++b) y[b] = (word[b] & 0xFFFFU) >= dropped ? x[b] * scale : 0.0F;
  for (std::int64_t b = 0; b < kCounters; ++b)
    y[kCounters + b] = word[b] >> 16 >= dropped ? x[kCounters + b] * scale : 0.0F;
}

}  // namespace

void dropout(std::uint64_t key, std::uint32_t dropped, std::int64_t first, std::int64_t n, const float* x, float* y) {
  const float scale = 65536.0F / static_cast<float>(65536U - dropped);
  for (std::int64_t i = 0; i < n; i += kDropoutBlock) {
    Words words;
    philox(key, static_cast<std::uint64_t>((first + i) / kDropoutBlock * kCounters), words);
    if (n - i >= kDropoutBlock) {
      for (std::int64_t k = 0; k < 4; ++k)
        drop(words.word[k], dropped, scale, x + i + k * 2 * kCounters, y + i + k * 2 * kCounters);
    } else {
      float from[kDropoutBlock] = {}, to[kDropoutBlock];
      std::memcpy(from, x + i, static_cast<std::size_t>(n - i) * sizeof(float));
      for (std::int64_t k = 0; k < 4; ++k)
        drop(words.word[k], dropped, scale, from + k * 2 * kCounters, to + k * 2 * kCounters);
      std::memcpy(y + i, to, static_cast<std::size_t>(n - i) * sizeof(float));
    }
  }
}

}  // namespace guda::worker::kernels::GUDA_ISA
