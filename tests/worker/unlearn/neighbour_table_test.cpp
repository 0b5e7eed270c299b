#include "worker/unlearn/neighbour_table.hpp"

#include <doctest/doctest.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <set>

#include "tests/support/tiny_styles.hpp"
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

TEST_CASE("neighbour table: of a text-to-image model the nearest are those of latent means, mirrored ones too") {
  const jobs::Dataset data = test::tiny_styled_dataset();
  const auto latents = test::tiny_latents(data);
  const Examples examples(data, latents, test::tiny_texts(data));
  const auto removed = test::items_of(data, 2);
  std::vector<std::uint32_t> retained;
  for (const std::uint32_t item : data.train) {
    if (data.labels[item] != 2) retained.push_back(item);
  }
  std::sort(retained.begin(), retained.end());
  const auto rows = [&](const torch::Tensor& of, const std::vector<std::uint32_t>& items) {
    std::vector<torch::Tensor> found;
    for (const std::uint32_t item : items)
      found.push_back(of[std::find(data.train.begin(), data.train.end(), item) - data.train.begin()].flatten());
    return torch::stack(found) * latents->scale;
  };
  const torch::Tensor all = rows(latents->mean, retained);
  const auto distances = [&](const torch::Tensor& from) { return (from.unsqueeze(1) - all).square().sum(2); };
  const torch::Tensor plain = distances(rows(latents->mean, removed)),
                      turned = distances(rows(latents->mirrored_mean, removed));
  const auto lengths = [&](bool mirrors, const std::vector<bool>& flips) {
    return NeighbourTable(examples, removed, 3, mirrors, {}).differences(examples, removed, flips).square().sum(2);
  };
  const auto nearest = [](const torch::Tensor& far) { return std::get<0>(far.sort(1)).narrow(1, 0, 3); };
  CHECK(torch::allclose(lengths(false, {}), nearest(plain), 1e-5, 1e-5));
  CHECK(torch::allclose(lengths(true, {}), nearest(torch::minimum(plain, turned)), 1e-5, 1e-5));
  CHECK(torch::allclose(lengths(true, std::vector<bool>(removed.size(), true)), nearest(torch::minimum(plain, turned)),
                        1e-5, 1e-5));
}

TEST_CASE(
    "neighbour table: latents of a pair are drawn with the same numbers, so a duplicate is at distance 0 (1.6.3)") {
  const jobs::Dataset data = test::tiny_styled_dataset();
  LatentTable latents = *test::tiny_latents(data);
  const auto removed = test::items_of(data, 2);
  const auto position = [&](std::uint32_t item) {
    return std::find(data.train.begin(), data.train.end(), item) - data.train.begin();
  };
  const auto retained = test::items_of(data, 5);
  for (torch::Tensor* of : {&latents.mean, &latents.logvar}) (*of)[position(retained[0])] = (*of)[position(removed[0])];
  latents.logvar[position(removed[1])] += 1;
  const Examples examples(data, std::make_shared<const LatentTable>(latents), test::tiny_texts(data));
  const NeighbourTable table(examples, removed, 2, false, {});
  const torch::Tensor noise = examples.latent_noise(2, SeedPath(3), 7);
  const std::vector<std::uint32_t> pair{removed[0], removed[1]};
  const torch::Tensor drawn = table.differences(examples, pair, {}, noise),
                      means = table.differences(examples, pair, {});
  CHECK(drawn[0][0].abs().max().item<double>() == 0);
  CHECK(drawn[0][1].abs().max().item<double>() > 0.1);
  // a_f is the latent that the step sees; the neighbours' deviations differ from its own where their variances do.
  const torch::Tensor own = examples.clean(pair, {}, noise) - examples.clean(pair, {}, torch::Tensor());
  const torch::Tensor shift = (drawn - means)[1];
  const double ratio = 1 - std::exp(-0.5);  // of standard deviations exp(logvar / 2)
  for (std::int64_t k = 0; k < 2; ++k) CHECK(torch::allclose(shift[k], own[1].flatten() * ratio, 1e-4, 1e-5));
}

TEST_CASE("neighbour table: other latents of the same images have a table of their own") {
  const jobs::Dataset data = test::tiny_styled_dataset();
  const auto removed = test::items_of(data, 2);
  const auto texts = test::tiny_texts(data);
  const Examples latent(data, test::tiny_latents(data), texts), other(data, test::tiny_latents(data), texts),
      pixels(data, nullptr, texts);
  const auto table = neighbour_table(latent, removed, 2, false, {});
  CHECK(neighbour_table(latent, removed, 2, false, {}) == table);
  CHECK(neighbour_table(other, removed, 2, false, {}) != table);
  CHECK(neighbour_table(pixels, removed, 2, false, {}) != table);
}
