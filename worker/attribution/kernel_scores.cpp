#include "worker/attribution/kernel_scores.hpp"

#include <algorithm>

#include "common/error.hpp"

namespace guda::worker {
namespace {

/// Positions within [first, first + count) of a group's sorted rows, counted from `first`.
torch::Tensor members(const std::vector<std::int64_t>& group, std::int64_t first, std::int64_t count) {
  std::vector<std::int64_t> inside;
  for (const std::int64_t row : group) {
    if (row >= first && row < first + count) inside.push_back(row - first);
  }
  return torch::tensor(inside, torch::kInt64);
}

torch::Tensor largest_of(const torch::Tensor& values, std::int64_t most) {
  return std::get<0>(values.topk(std::min(most, values.size(1)), 1));
}

void keep_best(TopInstances& kept, const torch::Tensor& values, std::int64_t first, std::int64_t most) {
  const torch::Tensor rows = torch::arange(first, first + values.size(1)).expand_as(values);
  const torch::Tensor all = kept.scores.defined() ? torch::cat({kept.scores, values}, 1) : values;
  const torch::Tensor names = kept.rows.defined() ? torch::cat({kept.rows, rows}, 1) : rows;
  const auto [scores, at] = all.topk(std::min(most, all.size(1)), 1);
  kept = {scores, names.gather(1, at)};
}

}  // namespace

GroupAggregator::GroupAggregator(const jobs::GradientConfig& config, std::int64_t queries,
                                 std::span<const std::vector<std::int64_t>> groups)
    : config_(config),
      groups_(groups),
      sums_(torch::zeros({queries, static_cast<std::int64_t>(groups.size())}, torch::kFloat64)),
      largest_(groups.size()) {}

void GroupAggregator::add(const torch::Tensor& values, std::int64_t first) {
  const bool orders = config_.aggregate == "max" || config_.aggregate == "topk";
  const std::int64_t most = config_.aggregate == "max" ? 1 : config_.top;
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    const torch::Tensor inside = members(groups_[g], first, values.size(1));
    if (inside.numel() == 0) continue;
    const torch::Tensor own = values.index_select(1, inside);
    if (orders) {
      largest_[g] = largest_of(largest_[g].defined() ? torch::cat({largest_[g], own}, 1) : own, most);
    } else {
      sums_.select(1, static_cast<std::int64_t>(g)).add_(own.sum(1));
    }
  }
}

torch::Tensor GroupAggregator::finish() const {
  torch::Tensor result = sums_.clone();
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    torch::Tensor column = result.select(1, static_cast<std::int64_t>(g));
    if (config_.aggregate == "mean" && !groups_[g].empty()) column.div_(static_cast<double>(groups_[g].size()));
    if (largest_[g].defined()) column.copy_(largest_[g].mean(1));
  }
  return result;
}

std::vector<double> kernel_scores(bool das, const jobs::GradientConfig& config, const torch::Tensor& queries,
                                  const FeatureBlocks& items, std::span<const std::vector<std::int64_t>> groups,
                                  const std::function<void()>& poll, TopInstances* instances) {
  const torch::NoGradGuard no_grad;
  const std::int64_t k = queries.size(1);
  const bool wants_sums = config.aggregate == "sum" || config.aggregate == "mean";
  const bool factored = !das && wants_sums && instances == nullptr;
  torch::Tensor kernel = torch::zeros({k, k}, torch::kFloat64);
  torch::Tensor sums = torch::zeros({static_cast<std::int64_t>(groups.size()), k}, torch::kFloat64);
  std::int64_t first = 0;
  for (std::size_t b = 0; b < items.count; ++b) {
    if (poll) poll();
    const torch::Tensor block = items.read(b).features.to(torch::kFloat64);
    if (block.size(1) != k) throw Bug("features of training items and queries differ in length");
    kernel.addmm_(block.t(), block);
    for (std::size_t g = 0; factored && g < groups.size(); ++g) {
      const torch::Tensor inside = members(groups[g], first, block.size(0));
      if (inside.numel() > 0) sums[static_cast<std::int64_t>(g)].add_(block.index_select(0, inside).sum(0));
    }
    first += block.size(0);
  }
  const double lambda = config.rho * kernel.trace().item<double>() / static_cast<double>(k);
  kernel.diagonal().add_(lambda);
  const auto [factor, failed] = torch::linalg_cholesky_ex(kernel);
  if (failed.item<std::int64_t>() != 0)
    throw Error("the kernel of projected gradients is not positive definite; raise gradients.rho");
  if (poll) poll();
  const torch::Tensor solved = torch::cholesky_solve(queries.to(torch::kFloat64).t(), factor).t();  // [queries, k]

  torch::Tensor scores;
  if (factored) {
    scores = solved.matmul(sums.t());
    for (std::size_t g = 0; config.aggregate == "mean" && g < groups.size(); ++g) {
      if (!groups[g].empty())
        scores.select(1, static_cast<std::int64_t>(g)).div_(static_cast<double>(groups[g].size()));
    }
  } else {
    GroupAggregator aggregator(config, queries.size(0), groups);
    first = 0;
    for (std::size_t b = 0; b < items.count; ++b) {
      if (poll) poll();
      const FeatureBlock block = items.read(b);
      const torch::Tensor rows = block.features.to(torch::kFloat64);
      torch::Tensor values = solved.matmul(rows.t());
      if (das) {
        const torch::Tensor leverage = (rows * torch::cholesky_solve(rows.t(), factor).t()).sum(1);
        values = values * (block.residuals / (1 - leverage)).unsqueeze(0);
        if (config.squared) values = values.square();
      }
      aggregator.add(values, first);
      if (instances != nullptr) keep_best(*instances, values, first, config.keep_instances);
      first += rows.size(0);
    }
    scores = aggregator.finish();
  }
  scores = scores.contiguous();
  return {scores.data_ptr<double>(), scores.data_ptr<double>() + scores.numel()};
}

}  // namespace guda::worker
