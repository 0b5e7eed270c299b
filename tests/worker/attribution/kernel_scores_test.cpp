#include "worker/attribution/kernel_scores.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "common/error.hpp"

using namespace guda;
using namespace guda::worker;

namespace {

struct Toy {
  torch::Tensor items, queries, residuals;
  std::vector<std::vector<std::int64_t>> groups{{0, 3, 5, 17}, {1, 2}, {4, 6, 7, 8, 19}, {}};
  Toy() {
    torch::manual_seed(4);
    items = torch::randn({20, 5}, torch::kFloat64);
    queries = torch::randn({3, 5}, torch::kFloat64);
    residuals = torch::rand({20}, torch::kFloat64) + 0.5;
  }
  [[nodiscard]] FeatureBlocks blocks(std::int64_t size) const {
    return {static_cast<std::size_t>((items.size(0) + size - 1) / size), [this, size](std::size_t b) {
              const auto first = static_cast<std::int64_t>(b) * size, count = std::min(size, items.size(0) - first);
              return FeatureBlock{items.narrow(0, first, count), residuals.narrow(0, first, count)};
            }};
  }
  /// tau [queries, items] by the definition.
  [[nodiscard]] torch::Tensor tau(double rho) const {
    const torch::Tensor gram = items.t().matmul(items);
    return queries.matmul(inverse(rho, gram)).matmul(items.t());
  }
  [[nodiscard]] torch::Tensor inverse(double rho, const torch::Tensor& gram) const {
    return torch::linalg_inv(gram + rho * gram.trace() / 5 * torch::eye(5, torch::kFloat64));
  }
};

torch::Tensor table(const std::vector<double>& scores, std::int64_t rows) {
  return torch::tensor(scores, torch::kFloat64).view({rows, -1});
}

jobs::GradientConfig config_of(const std::string& aggregate, double rho = 0.3) {
  jobs::GradientConfig config;
  config.aggregate = aggregate;
  config.rho = rho;
  return config;
}

torch::Tensor explicit_groups(const torch::Tensor& values, const Toy& toy, const std::string& aggregate,
                              std::int64_t top) {
  std::vector<torch::Tensor> columns;
  for (const auto& group : toy.groups) {
    if (group.empty()) {
      columns.push_back(torch::zeros({values.size(0)}, torch::kFloat64));
      continue;
    }
    const torch::Tensor own = values.index_select(1, torch::tensor(group, torch::kInt64));
    const torch::Tensor sorted = std::get<0>(own.sort(1, /*descending=*/true));
    if (aggregate == "sum") columns.push_back(own.sum(1));
    if (aggregate == "mean") columns.push_back(own.mean(1));
    if (aggregate == "max") columns.push_back(sorted.select(1, 0));
    if (aggregate == "topk") columns.push_back(sorted.narrow(1, 0, std::min(top, own.size(1))).mean(1));
  }
  return torch::stack(columns, 1);
}

}  // namespace

TEST_CASE(
    "group scores equal explicit sums over the table of instances, for every aggregate and block size "
    "(methods.md 5.6.2)") {
  const Toy toy;
  for (const std::string aggregate : {"sum", "mean", "max", "topk"}) {
    for (const std::int64_t block : {20, 7, 1}) {
      CAPTURE(aggregate);
      CAPTURE(block);
      jobs::GradientConfig config = config_of(aggregate);
      config.top = 3;
      const torch::Tensor got = table(kernel_scores(false, config, toy.queries, toy.blocks(block), toy.groups), 3);
      CHECK(torch::allclose(got, explicit_groups(toy.tau(0.3), toy, aggregate, 3), 1e-6, 1e-9));
    }
  }
}

TEST_CASE(
    "linear regression: signed scores are the exact change of a prediction when one item is left out "
    "(methods.md 5.6.1)") {
  const Toy toy;
  torch::manual_seed(6);
  const torch::Tensor y = torch::randn({20}, torch::kFloat64);
  const auto fit = [](const torch::Tensor& x, const torch::Tensor& target) {
    return torch::linalg_solve(x.t().matmul(x), x.t().matmul(target));
  };
  const torch::Tensor w = fit(toy.items, y);
  Toy leave = toy;
  leave.residuals = y - toy.items.matmul(w);
  leave.groups.clear();
  for (std::int64_t i = 0; i < 20; ++i) leave.groups.push_back({i});
  jobs::GradientConfig config = config_of("sum", 1e-14);
  config.squared = false;
  const torch::Tensor got = table(kernel_scores(true, config, toy.queries, leave.blocks(6), leave.groups), 3);
  for (std::int64_t i = 0; i < 20; ++i) {
    const torch::Tensor rest = torch::cat({torch::arange(0, i), torch::arange(i + 1, 20)});
    const torch::Tensor without = fit(toy.items.index_select(0, rest), y.index_select(0, rest));
    const torch::Tensor change = toy.queries.matmul(w - without);
    CHECK(torch::allclose(got.select(1, i), change, 1e-6, 1e-9));
  }
  config.squared = true;
  const torch::Tensor energy = table(kernel_scores(true, config, toy.queries, leave.blocks(6), leave.groups), 3);
  CHECK(torch::allclose(energy, got.square(), 1e-9, 1e-12));
}

TEST_CASE(
    "the kernel is symmetric, and a permutation of the items permutes their scores only (methods.md "
    "5.6.3, 5.6.5)") {
  Toy toy;
  toy.groups.clear();
  for (std::int64_t i = 0; i < 20; ++i) toy.groups.push_back({i});
  const torch::Tensor self = table(kernel_scores(false, config_of("sum"), toy.items, toy.blocks(20), toy.groups), 20);
  CHECK(torch::allclose(self, self.t(), 1e-9, 1e-12));
  const torch::Tensor order = torch::randperm(20);
  Toy shuffled = toy;
  shuffled.items = toy.items.index_select(0, order);
  const torch::Tensor moved =
      table(kernel_scores(false, config_of("sum"), toy.items, shuffled.blocks(20), toy.groups), 20);
  CHECK(torch::allclose(moved, self.index_select(1, order), 1e-9, 1e-12));
}

TEST_CASE("the best instances of a query are kept in order, whatever the blocks") {
  const Toy toy;
  jobs::GradientConfig config = config_of("sum");
  config.keep_instances = 4;
  const auto [scores, rows] = toy.tau(0.3).topk(4, 1);
  for (const std::int64_t block : {20, 3}) {
    TopInstances kept;
    const torch::Tensor got =
        table(kernel_scores(false, config, toy.queries, toy.blocks(block), toy.groups, {}, &kept), 3);
    CHECK(torch::equal(kept.rows, rows));
    CHECK(torch::allclose(kept.scores, scores, 1e-6, 1e-9));
    CHECK(torch::allclose(got, explicit_groups(toy.tau(0.3), toy, "sum", 0), 1e-6, 1e-9));
  }
}

TEST_CASE("a kernel that can't be inverted is refused with the setting that cures it") {
  Toy toy;
  toy.items = torch::zeros({20, 5}, torch::kFloat64);
  CHECK_THROWS_WITH_AS((void)kernel_scores(false, config_of("sum"), toy.queries, toy.blocks(20), toy.groups),
                       doctest::Contains("gradients.rho"), Error);
}
