#include "worker/attribution/projection.hpp"

#include <doctest/doctest.h>

#include <cmath>

#include "common/error.hpp"

using namespace guda;
using namespace guda::worker;

TEST_CASE(
    "projections keep inner products: their mean over 200 seeds is k a.b within 3 standard errors "
    "(methods.md 5.6.4)") {
  torch::manual_seed(1);
  const torch::Tensor a = torch::randn({300}), b = 0.5 * a + torch::randn({300});
  const double exact = a.dot(b).item<double>();
  for (const std::string kind : {"sjlt", "rademacher", "gaussian"}) {
    CAPTURE(kind);
    constexpr int kSeeds = 200, kDimension = 48;
    double sum = 0, squares = 0;
    for (int seed = 0; seed < kSeeds; ++seed) {
      const torch::Tensor both = Projection(kind, kDimension, seed).apply(torch::stack({a, b}));
      const double product = both[0].dot(both[1]).item<double>() / kDimension;
      sum += product, squares += product * product;
    }
    const double mean = sum / kSeeds, error = std::sqrt((squares / kSeeds - mean * mean) / kSeeds);
    CHECK(std::abs(mean - exact) < 3 * error);
    CHECK(error < 0.1 * std::abs(exact));  // so that the line above can fail
  }
}

TEST_CASE("projections depend on seed and weight only: not on the batch, and they are linear") {
  torch::manual_seed(2);
  const torch::Tensor rows = torch::randn({5, 3000});
  for (const std::string kind : {"sjlt", "rademacher", "gaussian"}) {
    CAPTURE(kind);
    const Projection projection(kind, 100, 9);
    const torch::Tensor all = projection.apply(rows);
    CHECK(all.sizes() == at::IntArrayRef({5, 100}));
    CHECK(torch::allclose(projection.apply(rows.narrow(0, 3, 1))[0], all[3], 1e-5, 1e-3));
    CHECK(torch::allclose(projection.apply(rows.sum(0, true))[0], all.sum(0), 1e-4, 1e-2));
    CHECK_FALSE(torch::allclose(Projection(kind, 100, 8).apply(rows), all));
    CHECK(all.abs().max().item<double>() > 0);
  }
  CHECK_THROWS_WITH_AS(Projection("dct", 100, 0), doctest::Contains("sjlt, rademacher, gaussian"), Error);
}
