#include "worker/attribution/controls.hpp"

#include <algorithm>
#include <cmath>

#include "common/digest.hpp"
#include "common/error.hpp"
#include "common/random.hpp"
#include "worker/training/images.hpp"
#include "worker/unlearn/neighbours.hpp"

namespace guda::worker {
namespace {

/// Rows divided by their length; a zero row stays zero.
torch::Tensor normalised(const torch::Tensor& rows) {
  const torch::Tensor length = rows.square().sum(1, /*keepdim=*/true).sqrt();
  return rows / torch::where(length > 0, length, torch::ones_like(length));
}

}  // namespace

std::vector<double> random_scores(std::uint64_t seed, std::span<const std::string> names,
                                  std::span<const jobs::RemovalSet> groups) {
  std::vector<double> scores;
  scores.reserve(names.size() * groups.size());
  for (const std::string& name : names) {
    for (const jobs::RemovalSet& group : groups) {
      scores.push_back(random_uniform((SeedPath(seed) / "random" / name / group.label).value(), 0));
    }
  }
  return scores;
}

std::vector<double> pixel_cosine_scores(const torch::Tensor& queries, const jobs::Dataset& dataset,
                                        std::span<const jobs::RemovalSet> groups, const std::function<void()>& poll) {
  const torch::NoGradGuard no_grad;
  std::vector<torch::Tensor> columns;
  const torch::Tensor directions = normalised(queries.flatten(1).to(torch::kFloat64));
  for (const jobs::RemovalSet& group : groups) {
    if (poll) poll();
    // The mean of cosines is the product with the mean of directions: one vector a group.
    const torch::Tensor items = gather_images(dataset, group.items).flatten(1).to(torch::kFloat64);
    columns.push_back(directions.matmul(normalised(items).mean(0)));
  }
  const torch::Tensor scores = torch::stack(columns, 1).contiguous();
  return {scores.data_ptr<double>(), scores.data_ptr<double>() + scores.numel()};
}

std::vector<double> knn_scores(const torch::Tensor& queries, const jobs::Dataset& dataset,
                               std::span<const jobs::RemovalSet> groups, std::uint32_t k,
                               const std::function<void()>& poll) {
  if (k == 0) throw Error("knn: k must be at least 1");
  std::vector<torch::Tensor> columns;
  for (const jobs::RemovalSet& group : groups) {
    const torch::Tensor items = gather_images(dataset, group.items).flatten(1);
    columns.push_back(-nearest_neighbours(queries.flatten(1), items, k, poll).squared_distance.sqrt().mean(1));
  }
  const torch::Tensor scores = torch::stack(columns, 1).contiguous();
  return {scores.data_ptr<double>(), scores.data_ptr<double>() + scores.numel()};
}

std::vector<double> group_size_scores(std::size_t queries, std::span<const jobs::RemovalSet> groups) {
  std::vector<double> scores;
  for (std::size_t q = 0; q < queries; ++q) {
    for (const jobs::RemovalSet& group : groups) scores.push_back(static_cast<double>(group.items.size()));
  }
  return scores;
}

std::vector<double> control_scores(const jobs::AttributeSpec& spec, const torch::Tensor& queries,
                                   std::span<const std::string> names, const jobs::Dataset& dataset,
                                   std::span<const jobs::RemovalSet> groups, const std::function<void()>& poll) {
  if (spec.method == "random") return random_scores(spec.seed, names, groups);
  if (spec.method == "pixel_cosine") return pixel_cosine_scores(queries, dataset, groups, poll);
  if (spec.method == "knn") return knn_scores(queries, dataset, groups, spec.k, poll);
  if (spec.method == "group_size") return group_size_scores(names.size(), groups);
  throw Error("'" + spec.method + "' is no control; known: random, group_size, pixel_cosine, knn");
}

}  // namespace guda::worker
