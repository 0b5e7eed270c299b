#include "worker/attribution/similarity.hpp"

#include <doctest/doctest.h>

#include "common/error.hpp"

using namespace guda;
using namespace guda::worker;

TEST_CASE(
    "similarity: a query that is one of n otherwise orthogonal items gets 1/n, and lengths do not matter "
    "(methods.md 4.3)") {
  const torch::Tensor items = torch::eye(6), query = 3 * items.narrow(0, 1, 1);
  const std::vector<std::vector<std::int64_t>> groups{{0, 1, 2, 3}, {4, 5}};
  const std::vector<double> mean = similarity_scores(query, items, groups, "mean");
  CHECK(mean[0] == doctest::Approx(0.25));
  CHECK(mean[1] == 0);
  CHECK(similarity_scores(query, 7 * items, groups, "mean") == mean);
  CHECK(similarity_scores(query, items, groups, "max")[0] == doctest::Approx(1));
  // The mean direction of four orthogonal items is half as long as they are.
  CHECK(similarity_scores(query, items, groups, "centroid")[0] == doctest::Approx(0.5));
}

TEST_CASE("similarity: mean is the mean of all cosines; empty groups, other lengths and unknown aggregates") {
  torch::manual_seed(3);
  const torch::Tensor items = torch::randn({9, 4}), queries = torch::randn({5, 4});
  const std::vector<std::vector<std::int64_t>> groups{{8, 0, 4}, {}};
  const std::vector<double> scores = similarity_scores(queries, items, groups, "mean");
  for (std::int64_t q = 0; q < 5; ++q) {
    double sum = 0;
    for (const std::int64_t i : groups[0]) sum += torch::cosine_similarity(queries[q], items[i], 0).item<double>() / 3;
    CHECK(scores[static_cast<std::size_t>(2 * q)] == doctest::Approx(sum).epsilon(1e-5));
    CHECK(scores[static_cast<std::size_t>(2 * q + 1)] == 0);
  }
  CHECK_THROWS_WITH_AS((void)similarity_scores(queries, items, groups, "median"), doctest::Contains("median"), Error);
  CHECK_THROWS_AS((void)similarity_scores(queries, torch::randn({9, 3}), groups, "mean"), Error);
}

TEST_CASE("similarity: the kept items of a training image begin with itself") {
  torch::manual_seed(5);
  const torch::Tensor items = torch::randn({9, 4});
  const TopInstances kept = most_similar(2 * items.narrow(0, 3, 2), items, 3);
  CHECK(kept.rows.sizes() == at::IntArrayRef({2, 3}));
  CHECK(kept.rows[0][0].item<std::int64_t>() == 3);
  CHECK(kept.rows[1][0].item<std::int64_t>() == 4);
  CHECK(kept.scores[0][0].item<double>() == doctest::Approx(1));
  CHECK(kept.scores[0][1].item<double>() >= kept.scores[0][2].item<double>());
  CHECK(most_similar(items, items, 20).rows.size(1) == 9);
}
