#pragma once
// Random integers and uniforms as pure functions of (seed, counter): the SplitMix64 sequence read at any position.
// The standard library's distributions and shuffle are not used: their results differ between libraries.
// Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

namespace guda {

/// The counter-th output of SplitMix64 seeded with `seed`.
[[nodiscard]] constexpr std::uint64_t random_bits(std::uint64_t seed, std::uint64_t counter) noexcept {
  std::uint64_t z = seed + (counter + 1) * 0x9E3779B97F4A7C15ULL;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
  return z ^ (z >> 31);
}

/// Uniform in [0, 1) with 53 bits.
[[nodiscard]] constexpr double random_uniform(std::uint64_t seed, std::uint64_t counter) noexcept {
  return static_cast<double>(random_bits(seed, counter) >> 11) * 0x1.0p-53;
}

/// Uniform in [0, bound); advances `counter` by one or more (rejection keeps it exactly uniform). bound > 0.
[[nodiscard]] constexpr std::uint64_t random_below(std::uint64_t seed, std::uint64_t& counter,
                                                   std::uint64_t bound) noexcept {
  const std::uint64_t unfair = (0 - bound) % bound;  // 2^64 mod bound
  while (true) {
    const std::uint64_t bits = random_bits(seed, counter++);
    if (bits >= unfair) return bits % bound;
  }
}

/// A uniformly drawn permutation of 0..n-1 (Fisher-Yates).
[[nodiscard]] inline std::vector<std::uint32_t> random_permutation(std::uint32_t n, std::uint64_t seed) {
  std::vector<std::uint32_t> order(n);
  std::iota(order.begin(), order.end(), 0U);
  std::uint64_t counter = 0;
  for (std::uint32_t i = n; i > 1; --i) std::swap(order[i - 1], order[random_below(seed, counter, i)]);
  return order;
}

}  // namespace guda
