#include "worker/unlearn/neighbours.hpp"

#include <doctest/doctest.h>
#include <torch/torch.h>

using namespace guda::worker;

namespace {

/// By sorting all exact distances, ties by row number.
torch::Tensor brute_force(const torch::Tensor& queries, const torch::Tensor& items, std::int64_t k) {
  const torch::Tensor difference = queries.to(torch::kFloat64).unsqueeze(1) - items.to(torch::kFloat64).unsqueeze(0);
  const torch::Tensor order = std::get<1>(difference.square().sum(2).sort(/*stable=*/true, 1, /*descending=*/false));
  return order.narrow(1, 0, k);
}

}  // namespace

TEST_CASE("neighbours: are those of an exhaustive search, over several blocks of queries") {
  torch::manual_seed(1);
  const torch::Tensor queries = torch::randn({600, 48}), items = torch::randn({900, 48});
  const Neighbours found = nearest_neighbours(queries, items, 10);
  CHECK(torch::equal(found.index, brute_force(queries, items, 10)));
  const torch::Tensor expected =
      (queries[7] - items[found.index[7][3].item<std::int64_t>()]).to(torch::kFloat64).square().sum();
  CHECK(found.squared_distance[7][3].item<double>() == doctest::Approx(expected.item<double>()).epsilon(1e-6));
}

TEST_CASE("neighbours: equal distances go by row number, even with more twins than candidates") {
  torch::manual_seed(2);
  const torch::Tensor distinct = torch::randn({4, 16});
  const torch::Tensor items = distinct.repeat({50, 1});  // every image fifty times
  const torch::Tensor queries = distinct + 0.01 * torch::randn({4, 16});
  const Neighbours found = nearest_neighbours(queries, items, 5);
  CHECK(torch::equal(found.index, brute_force(queries, items, 5)));
  for (std::int64_t q = 0; q < 4; ++q) {
    for (std::int64_t i = 0; i < 5; ++i) CHECK(found.index[q][i].item<std::int64_t>() == q + 4 * i);
  }
}

TEST_CASE("neighbours: images far from the origin and close together are still ranked exactly") {
  torch::manual_seed(3);
  const torch::Tensor items = 100 + 1e-3 * torch::randn({300, 64}), queries = 100 + 1e-3 * torch::randn({20, 64});
  CHECK(torch::equal(nearest_neighbours(queries, items, 8).index, brute_force(queries, items, 8)));
}

TEST_CASE("neighbours: k = 0 or more than there are means all") {
  torch::manual_seed(4);
  const torch::Tensor items = torch::randn({7, 5}), queries = torch::randn({3, 5});
  CHECK(torch::equal(nearest_neighbours(queries, items, 0).index, brute_force(queries, items, 7)));
  CHECK(torch::equal(nearest_neighbours(queries, items, 99).index, brute_force(queries, items, 7)));
}

TEST_CASE("neighbours: with mirrors an item counts once, at its nearer orientation, as an exhaustive search says") {
  torch::manual_seed(5);
  const torch::Tensor queries = torch::randn({40, 2, 4, 5}), items = torch::randn({120, 2, 4, 5});
  const MirroredNeighbours found =
      nearest_neighbours_mirrored(queries.flatten(1), queries.flip({3}).flatten(1), items.flatten(1), 9);
  const auto distances = [&](const torch::Tensor& side) {
    return (queries.flatten(1).to(torch::kFloat64).unsqueeze(1) - side.flatten(1).to(torch::kFloat64).unsqueeze(0))
        .square()
        .sum(2);
  };
  const torch::Tensor plain = distances(items), turned = distances(items.flip({3}));
  const auto [expected, order] = torch::minimum(plain, turned).sort(/*stable=*/true, 1, /*descending=*/false);
  CHECK(torch::equal(found.nearest.index, order.narrow(1, 0, 9)));
  CHECK(torch::allclose(found.nearest.squared_distance, expected.narrow(1, 0, 9), 1e-6, 1e-9));
  CHECK(torch::equal(found.mirrored, (turned < plain).gather(1, found.nearest.index)));
}

TEST_CASE(
    "neighbours: a mirror image of the query is its nearest item, and says so; a symmetric one is taken as it is") {
  torch::manual_seed(6);
  torch::Tensor items = torch::randn({50, 1, 4, 4}), queries = torch::randn({2, 1, 4, 4});
  items[7] = queries[0].flip({2});
  queries[1] = queries[1] + queries[1].flip({2});
  items[9] = queries[1];
  const auto nearest = [&](std::uint32_t k) {
    return nearest_neighbours_mirrored(queries.flatten(1), queries.flip({3}).flatten(1), items.flatten(1), k);
  };
  const MirroredNeighbours found = nearest(3);
  CHECK(found.nearest.index[0][0].item<std::int64_t>() == 7);
  CHECK(found.mirrored[0][0].item<bool>());
  CHECK(found.nearest.squared_distance[0][0].item<double>() == 0);
  CHECK(found.nearest.index[1][0].item<std::int64_t>() == 9);
  CHECK_FALSE(found.mirrored[1][0].item<bool>());
  CHECK(nearest(0).nearest.index.size(1) == 50);
}
