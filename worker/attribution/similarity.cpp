#include "worker/attribution/similarity.hpp"

#include <algorithm>

#include "common/error.hpp"

namespace guda::worker {
namespace {

torch::Tensor directions(const torch::Tensor& rows) {
  const torch::Tensor wide = rows.flatten(1).to(torch::kFloat64);
  const torch::Tensor length = wide.square().sum(1, /*keepdim=*/true).sqrt();
  return wide / torch::where(length > 0, length, torch::ones_like(length));
}

}  // namespace

TopInstances most_similar(const torch::Tensor& queries, const torch::Tensor& items, std::uint32_t keep) {
  const torch::Tensor cosines = directions(queries).matmul(directions(items).t());
  auto [scores, rows] = cosines.topk(std::min<std::int64_t>(keep, cosines.size(1)), 1);
  return {scores, rows};
}

std::vector<double> similarity_scores(const torch::Tensor& queries, const torch::Tensor& items,
                                      std::span<const std::vector<std::int64_t>> groups, const std::string& aggregate) {
  const torch::Tensor from = directions(queries), to = directions(items);
  if (from.size(1) != to.size(1)) throw Error("similarity: features of queries and of items differ in length");
  std::vector<torch::Tensor> columns;
  for (const auto& group : groups) {
    if (group.empty()) {
      columns.push_back(torch::full({from.size(0)}, aggregate == "max" ? -1.0 : 0.0, torch::kFloat64));
      continue;
    }
    const torch::Tensor own = to.index_select(0, torch::tensor(group, torch::kInt64));
    if (aggregate == "mean") {
      columns.push_back(from.matmul(own.mean(0)));
    } else if (aggregate == "centroid") {
      columns.push_back(from.matmul(directions(own.mean(0, true))[0]));
    } else if (aggregate == "max") {
      columns.push_back(std::get<0>(from.matmul(own.t()).max(1)));
    } else {
      throw Error("similarity.aggregate: '" + aggregate + "' is not one of mean, centroid, max");
    }
  }
  const torch::Tensor scores = torch::stack(columns, 1).contiguous();
  return {scores.data_ptr<double>(), scores.data_ptr<double>() + scores.numel()};
}

}  // namespace guda::worker
