#pragma once
// Exact nearest neighbours of images or latents.
#include <torch/torch.h>

#include <cstdint>
#include <functional>

namespace guda::worker {

struct Neighbours {
  torch::Tensor index;             ///< int64 [queries, k] rows of `items`, nearest first, equal distances by row number
  torch::Tensor squared_distance;  ///< float64 [queries, k]
};

/// The k nearest rows of `items` [n, d] to every row of `queries` [m, d] (float32, CPU), by Euclidean distance; all n
/// of them when k is 0 or larger. Candidates come from a blocked matrix product, distances of candidates are computed
/// again from differences in float64, and a row whose candidates can't be proven complete is searched in full.
/// `poll`, if any, is called before every few hundred queries and may throw.
[[nodiscard]] Neighbours nearest_neighbours(const torch::Tensor& queries, const torch::Tensor& items, std::uint32_t k,
                                            const std::function<void()>& poll = {});

struct MirroredNeighbours {
  Neighbours nearest;      ///< each item once, at the smaller of its two distances
  torch::Tensor mirrored;  ///< bool [queries, k] whether that distance is of the item mirrored left and right
};

/// As nearest_neighbours, but an item counts at the nearer of its two orientations; equal distances prefer the smaller
/// row, then the item as it is. The queries come in both orientations, row by row, so that no second copy of the items
/// is needed: of pixels the mirrored query is as far from the item as the query from the mirrored item.
[[nodiscard]] MirroredNeighbours nearest_neighbours_mirrored(const torch::Tensor& queries,
                                                             const torch::Tensor& mirrored_queries,
                                                             const torch::Tensor& items, std::uint32_t k,
                                                             const std::function<void()>& poll = {});

}  // namespace guda::worker
