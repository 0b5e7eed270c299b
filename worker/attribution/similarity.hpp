#pragma once
// Scores from features alone: cosines between a query and a group's images (methods.md section 4).
#include <torch/torch.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "worker/attribution/kernel_scores.hpp"

namespace guda::worker {

/// queries [Q, D], items [n, D], any float type; groups: rows of `items`. mean: mean of cosines; centroid: cosine to
/// the mean of the items' directions; max: largest cosine. A zero vector has cosine 0, an empty group 0 (max: -1).
/// Invariant to a rescaling of any row. Returns [Q, groups]. Throws Error on another aggregate or other lengths.
[[nodiscard]] std::vector<double> similarity_scores(const torch::Tensor& queries, const torch::Tensor& items,
                                                    std::span<const std::vector<std::int64_t>> groups,
                                                    const std::string& aggregate);

/// For each query the items of largest cosine, at most `keep`.
[[nodiscard]] TopInstances most_similar(const torch::Tensor& queries, const torch::Tensor& items, std::uint32_t keep);

}  // namespace guda::worker
