#include "worker/unlearn/neighbour_table.hpp"

#include <doctest/doctest.h>
#include <torch/torch.h>

#include <algorithm>
#include <set>

#include "tests/support/tiny_study.hpp"
#include "worker/training/images.hpp"

using namespace guda;
using namespace guda::worker;

TEST_CASE("neighbour table: differences lead to retained images, nearest first") {
  const jobs::Dataset data = test::tiny_dataset();
  const auto removed = test::items_of(data, 3);
  const NeighbourTable table(data, removed, 4, /*mirrors=*/false, {});
  const torch::Tensor differences = table.differences(data, removed, {});
  REQUIRE((differences.sizes() == torch::IntArrayRef{static_cast<std::int64_t>(removed.size()), 4, 64}));
  std::vector<std::uint32_t> retained;
  for (const std::uint32_t item : data.train) {
    if (!std::binary_search(removed.begin(), removed.end(), item)) retained.push_back(item);
  }
  const torch::Tensor all = gather_images(data, retained).flatten(1), own = gather_images(data, removed).flatten(1);
  const torch::Tensor lengths = differences.square().sum(2);
  for (std::int64_t i = 0; i < own.size(0); ++i) {
    const torch::Tensor expected = std::get<0>((own[i] - all).square().sum(1).sort());
    CHECK(torch::allclose(lengths[i], expected.narrow(0, 0, 4), 1e-5, 1e-5));
  }
}

TEST_CASE(
    "neighbour table: a mirrored forget image is paired with its neighbours mirrored too, so that the distance stays "
    "(methods.md 12.1 G5)") {
  const jobs::Dataset data = test::tiny_dataset();
  const auto removed = test::items_of(data, 3);
  const NeighbourTable table(data, removed, 4, /*mirrors=*/true, {});
  const torch::Tensor as_is = table.differences(data, removed, std::vector<bool>(removed.size(), false));
  const torch::Tensor turned = table.differences(data, removed, std::vector<bool>(removed.size(), true));
  const std::vector<std::int64_t> shape{static_cast<std::int64_t>(removed.size()), 4, 8, 8};
  CHECK(torch::equal(turned.view(shape), as_is.view(shape).flip({3})));
  CHECK_FALSE(torch::equal(turned, as_is));
  // In either orientation at most as far as without mirrors.
  const NeighbourTable plain(data, removed, 4, /*mirrors=*/false, {});
  CHECK((as_is.square().sum(2) <= plain.differences(data, removed, {}).square().sum(2) + 1e-5).all().item<bool>());
}

TEST_CASE("neighbour table: the same removal, data and settings share one table; any other has its own") {
  jobs::Dataset data = test::tiny_dataset();
  const auto removed = test::items_of(data, 1);
  int polls = 0;
  const auto poll = [&] { ++polls; };
  const auto table = neighbour_table(data, removed, 5, true, poll);
  const int searched = polls;
  CHECK(neighbour_table(data, removed, 5, true, poll) == table);
  CHECK(polls == searched + 1);  // heard, but nothing was searched again
  CHECK(neighbour_table(data, removed, 6, true, poll) != table);
  CHECK(neighbour_table(data, removed, 5, false, poll) != table);
  CHECK(neighbour_table(data, test::items_of(data, 2), 5, true, poll) != table);
  data.content = digest_of("other pixels");
  CHECK(neighbour_table(data, removed, 5, true, poll) != table);
}
