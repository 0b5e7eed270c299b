// The worked example of docs/extending.md, as it stands there: what it computes.
#include <doctest/doctest.h>

#include "extending/inner_product_scores.hpp"

using namespace guda;
using namespace guda::worker;

TEST_CASE("docs/extending.md: the example's scores are explicit sums of inner products, whatever the blocks") {
  torch::manual_seed(1);
  const torch::Tensor items = torch::randn({9, 4}), queries = torch::randn({3, 4});
  const std::vector<std::vector<std::int64_t>> groups{{0, 4, 8}, {1, 2}, {}};
  for (const std::int64_t size : {9, 3, 1}) {
    CAPTURE(size);
    const FeatureBlocks blocks{static_cast<std::size_t>(9 / size), [&](std::size_t b) {
                                 return FeatureBlock{items.narrow(0, static_cast<std::int64_t>(b) * size, size), {}};
                               }};
    const std::vector<double> scores = inner_product_scores({}, queries, blocks, groups);
    REQUIRE(scores.size() == 9);
    for (std::int64_t q = 0; q < 3; ++q) {
      for (std::size_t g = 0; g < 3; ++g) {
        double sum = 0;
        for (const std::int64_t i : groups[g]) sum += queries[q].dot(items[i]).item<double>();
        CHECK(scores[static_cast<std::size_t>(q) * 3 + g] == doctest::Approx(sum).epsilon(1e-5));
      }
    }
  }
}
