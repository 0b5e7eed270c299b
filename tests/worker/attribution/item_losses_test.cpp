#include "worker/attribution/item_losses.hpp"

#include <doctest/doctest.h>

#include <cmath>

#include "tests/support/tiny_study.hpp"
#include "worker/training/images.hpp"

using namespace guda;
using namespace guda::worker;

namespace {

/// Losses of `items` of the tiny data set under a model that is not trained.
torch::Tensor losses_of(const std::vector<std::uint32_t>& items, bool shared, std::vector<std::uint64_t> ids = {}) {
  at::set_num_threads(1);
  const jobs::Dataset data = test::tiny_dataset();
  UNet2D model = make_unet2d(test::tiny_model(), 7);
  model->eval();
  if (ids.empty()) ids.assign(items.begin(), items.end());
  return ItemLosses(gather_images(data, items), ids, {5, 50, 95}, shared, test::tiny_diffusion(), 4, torch::kCPU)
      .of(model);
}

}  // namespace

TEST_CASE(
    "item losses: an item sees the same noise whatever else is looked at, in whatever batch (methods.md 6.4, 7.5)") {
  const jobs::Dataset data = test::tiny_dataset();
  for (const bool shared : {false, true}) {
    CAPTURE(shared);
    const torch::Tensor all = losses_of(data.train, shared);  // 360 rows: two batches
    CHECK(all.sizes() == at::IntArrayRef({120, 3}));
    const torch::Tensor some = losses_of({data.train[100], data.train[3]}, shared);
    CHECK(torch::allclose(some[0], all[100], 1e-5, 1e-7));
    CHECK(torch::allclose(some[1], all[3], 1e-5, 1e-7));
    CHECK(torch::equal(all, losses_of(data.train, shared)));
  }
}

TEST_CASE("item losses: shared noise is one for all items, otherwise each item has its own") {
  const jobs::Dataset data = test::tiny_dataset();
  const std::uint32_t item = data.train[0];
  const torch::Tensor shared = losses_of({item, item}, true, {1, 2}), own = losses_of({item, item}, false, {1, 2});
  CHECK(torch::allclose(shared[0], shared[1], 1e-6, 0));
  CHECK((own[0] - own[1]).abs().min().item<double>() > 1e-4);
}

TEST_CASE("item losses: an untrained network loses about 1, the unit of MUCS's clamp (methods.md 7.1, 7.4)") {
  const jobs::Dataset data = test::tiny_dataset();
  CHECK(losses_of(data.train, false).mean().item<double>() == doctest::Approx(1).epsilon(0.25));
}

TEST_CASE("group means: value, standard error of the drawing without replacement, overlap of groups (methods.md 6.4)") {
  const std::vector<jobs::RemovalSet> groups{{"a", {1, 2, 3, 4}}, {"b", {3, 4}}};
  const GroupSample all = sample_groups(groups, 0, 1);
  CHECK(all.items == std::vector<std::uint32_t>{1, 2, 3, 4});
  const GroupMeans means = group_means(torch::tensor({1.0, 2.0, 3.0, 6.0}), all);
  CHECK(means.mean == std::vector<double>{3.0, 4.5});
  CHECK(means.standard_error == std::vector<double>{0.0, 0.0});  // everything was looked at
  const GroupSample some = sample_groups(groups, 2, 1);
  CHECK(some.members[0].size() == 2);
  CHECK(some.members[1].size() == 2);
  CHECK(sample_groups(groups, 2, 1).items == some.items);
}

TEST_CASE("group means: over many drawings the standard error is the spread of the estimate (methods.md 6.4)") {
  std::vector<jobs::RemovalSet> groups{{"a", {}}};
  std::vector<double> values;
  for (std::uint32_t i = 0; i < 30; ++i) {
    groups[0].items.push_back(i);
    values.push_back(std::sin(3.0 * i));
  }
  constexpr int kDrawings = 400;
  double sum = 0, squares = 0, claimed = 0;
  for (int seed = 0; seed < kDrawings; ++seed) {
    const GroupSample sample = sample_groups(groups, 10, seed);
    std::vector<double> own;
    for (const std::uint32_t item : sample.items) own.push_back(values[item]);
    const GroupMeans means = group_means(torch::tensor(own, torch::kFloat64), sample);
    sum += means.mean[0], squares += means.mean[0] * means.mean[0];
    claimed += means.standard_error[0] * means.standard_error[0] / kDrawings;
  }
  const double mean = sum / kDrawings, spread = squares / kDrawings - mean * mean;
  double truth = 0;
  for (const double v : values) truth += v / 30;
  CHECK(std::abs(mean - truth) < 4 * std::sqrt(spread / kDrawings));
  CHECK(claimed / spread == doctest::Approx(1).epsilon(0.25));
}
