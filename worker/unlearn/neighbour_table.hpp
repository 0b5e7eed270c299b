#pragma once
// The retain neighbours of every forget image, found once and looked up in every step.
#include <torch/torch.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "worker/training/examples.hpp"

namespace guda::worker {

class NeighbourTable {
 public:
  /// The k nearest training items outside `removed` (sorted) of each item of `removed`, by the distance of pixels or of
  /// the means of latents, ties by item; with `mirrors` in the nearer of both orientations. `poll` is called now and
  /// then and may throw.
  NeighbourTable(const Examples& examples, std::span<const std::uint32_t> removed, std::uint32_t k, bool mirrors,
                 const std::function<void()>& poll);

  /// float32 [items, K, D], a_f - a_r. Where `flips` (empty or one per item) mirrors a forget image its neighbours are
  /// mirrored with it, so that the pair keeps the distance that the search found. `latent_noise` [items, C, H, W] drew
  /// the forget latents (undefined for pixels); their neighbours' are drawn with the same numbers, so that a duplicate
  /// stays at distance 0.
  [[nodiscard]] torch::Tensor differences(const Examples& examples, std::span<const std::uint32_t> items,
                                          const std::vector<bool>& flips, const torch::Tensor& latent_noise = {}) const;

  [[nodiscard]] std::size_t neighbours() const noexcept { return k_; }

 private:
  std::size_t k_ = 0;
  std::vector<std::uint32_t> items_;  ///< [forget image, k]
  std::vector<bool> mirrored_;        ///< the same
  std::map<std::uint32_t, std::size_t> row_;
};

/// A table that this thread keeps for its next jobs: the operators of one removal set share it. Named by the digest of
/// data set, removal, k and mirrors, and by the very table of latents; the oldest goes when there are more than
/// sixteen. `poll` is called at least once.
[[nodiscard]] std::shared_ptr<const NeighbourTable> neighbour_table(const Examples& examples,
                                                                    std::span<const std::uint32_t> removed,
                                                                    std::uint32_t k, bool mirrors,
                                                                    const std::function<void()>& poll);

}  // namespace guda::worker
