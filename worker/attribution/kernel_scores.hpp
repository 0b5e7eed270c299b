#pragma once
// From projected gradients to group scores: TRAK, D-TRAK and DAS (methods.md 5.2-5.4).
#include <torch/torch.h>

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "jobs/method_settings.hpp"

namespace guda::worker {

/// Features of some training items; `residuals` float64 [items], read by DAS only.
struct FeatureBlock {
  torch::Tensor features;
  torch::Tensor residuals;
};

/// The training set's features in blocks; `read(b)` may be called several times per block.
struct FeatureBlocks {
  std::size_t count = 0;
  std::function<FeatureBlock(std::size_t)> read;
};

/// The training items (by row of the features) that score highest for each query.
struct TopInstances {
  torch::Tensor scores;  ///< float64 [queries, kept], descending
  torch::Tensor rows;    ///< int64 [queries, kept]
};

/// With K = Phi^T Phi + lambda I, lambda = rho trace(Phi^T Phi)/k, factorised in float64:
///   trak, dtrak  tau(q, i) = phi(q) K^-1 phi_i;
///   das          tau e_i / (1 - h_i), h_i = phi_i K^-1 phi_i; squared unless config.squared is off.
/// Returns scores [queries, groups] by config.aggregate. Sums and means of tau need no table of queries and items: they
/// are products with the groups' summed features. groups: rows of the features. `instances` may be null. Throws Error
/// when K is not positive definite. `poll` is called once a block.
[[nodiscard]] std::vector<double> kernel_scores(bool das, const jobs::GradientConfig& config,
                                                const torch::Tensor& queries, const FeatureBlocks& items,
                                                std::span<const std::vector<std::int64_t>> groups,
                                                const std::function<void()>& poll = {},
                                                TopInstances* instances = nullptr);

/// Group scores of a table of instance scores, block by block: sum | mean | max | topk.
class GroupAggregator {
 public:
  GroupAggregator(const jobs::GradientConfig& config, std::int64_t queries,
                  std::span<const std::vector<std::int64_t>> groups);
  /// values float64 [queries, items] of the items first, first + 1, ...
  void add(const torch::Tensor& values, std::int64_t first);
  /// float64 [queries, groups]; an empty group gets 0.
  [[nodiscard]] torch::Tensor finish() const;

 private:
  jobs::GradientConfig config_;
  std::span<const std::vector<std::int64_t>> groups_;
  torch::Tensor sums_;
  std::vector<torch::Tensor> largest_;  ///< max, topk: per group [queries, at most top]
};

}  // namespace guda::worker
