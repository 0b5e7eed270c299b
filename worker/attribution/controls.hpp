#pragma once
// Group scores that use no diffusion model: what an attribution method has to beat. All [queries, groups] row-major,
// larger = more influence.
#include <torch/torch.h>

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "jobs/dataset.hpp"
#include "jobs/spec.hpp"

namespace guda::worker {

/// Uniform in [0, 1): a function of seed, query name and the group's label.
[[nodiscard]] std::vector<double> random_scores(std::uint64_t seed, std::span<const std::string> names,
                                                std::span<const jobs::RemovalSet> groups);

/// Mean cosine between a query and the items of a group, pixels in [-1, 1]. A zero vector has cosine 0.
[[nodiscard]] std::vector<double> pixel_cosine_scores(const torch::Tensor& queries, const jobs::Dataset& dataset,
                                                      std::span<const jobs::RemovalSet> groups,
                                                      const std::function<void()>& poll = {});

/// Minus the mean Euclidean distance to the k nearest items of a group (all of them when it has fewer), pixels in
/// [-1, 1]. Ranks all groups without ties, unlike a count among the k nearest of the training set.
[[nodiscard]] std::vector<double> knn_scores(const torch::Tensor& queries, const jobs::Dataset& dataset,
                                             std::span<const jobs::RemovalSet> groups, std::uint32_t k,
                                             const std::function<void()>& poll = {});

/// Items of every group, the same for every query.
[[nodiscard]] std::vector<double> group_size_scores(std::size_t queries, std::span<const jobs::RemovalSet> groups);

/// The control that `spec.method` names. queries: float32 [Q, C, H, W] on the CPU. Throws Error on an unknown one.
/// `poll`, if any, is called every few seconds' worth of work and may throw, here and above.
[[nodiscard]] std::vector<double> control_scores(const jobs::AttributeSpec& spec, const torch::Tensor& queries,
                                                 std::span<const std::string> names, const jobs::Dataset& dataset,
                                                 std::span<const jobs::RemovalSet> groups,
                                                 const std::function<void()>& poll = {});

}  // namespace guda::worker
