#pragma once
// Standard normal noise from a counter, not from a stream: what a query sees at a timestep depends on names only, never
// on batch size, position, order, rank or attempt (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3").
#include <array>
#include <cstdint>
#include <span>

namespace guda::worker {

/// Philox4x32-10 of Random123: four independent uniform words of a 128-bit counter under a 64-bit key.
[[nodiscard]] std::array<std::uint32_t, 4> philox4x32(const std::array<std::uint32_t, 4>& counter,
                                                      const std::array<std::uint32_t, 2>& key) noexcept;

/// out[i] = standard normal number i of (seed, query_id, timestep, draw).
/// Element i comes from word i mod 4 of the counter {i / 4, low half of query_id, high half, timestep << 16 | draw}
/// under the key {low half of seed, high half}, by Box-Muller on words (0, 1) and (2, 3); |out[i]| < 6.7. Bits are
/// equal on every processor: only exactly rounded operations and our own polynomials are used, no libm. A shorter `out`
/// gets a prefix of a longer one. timestep and draw must be below 65,536, else Error. Any thread; no allocation.
void fill_normal(std::uint64_t seed, std::uint64_t query_id, std::uint32_t timestep, std::uint32_t draw,
                 std::span<float> out);

}  // namespace guda::worker
