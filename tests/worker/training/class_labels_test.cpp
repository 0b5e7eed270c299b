#include "worker/training/class_labels.hpp"

#include <doctest/doctest.h>
#include <torch/torch.h>

#include "tests/support/in_pieces.hpp"
#include "tests/support/tiny_study.hpp"
#include "worker/training/trainer.hpp"

using namespace guda;
using namespace guda::worker;
using test::no_progress;

TEST_CASE("class labels: a row has its class; withheld ones say no class, about as often as asked, by the step alone") {
  const jobs::Dataset data = test::tiny_dataset();
  const std::span<const std::uint32_t> items(data.train);
  const torch::Tensor rows = class_rows(data, items);
  CHECK(rows.sizes() == at::IntArrayRef{120, 11});
  for (std::int64_t i = 0; i < 120; ++i)
    CHECK(rows[i].argmax().item<std::int64_t>() == data.labels[items[static_cast<std::size_t>(i)]]);
  CHECK(torch::equal(dropped_class_rows(data, items, SeedPath(1), 3, 0), rows));
  double withheld = 0;
  for (std::uint64_t step = 0; step < 20; ++step) {
    const torch::Tensor dropped = dropped_class_rows(data, items, SeedPath(1), step, 0.1);
    CHECK(torch::equal(dropped, dropped_class_rows(data, items, SeedPath(1), step, 0.1)));
    CHECK(torch::equal(dropped.sum(1), torch::ones({120})));
    withheld += dropped.select(1, 10).sum().item<double>();
  }
  CHECK(withheld / (20 * 120) == doctest::Approx(0.1).epsilon(0.25));
}

TEST_CASE("guide: it learns to tell classes apart, and goes on from a checkpoint to the same bits") {
  at::set_num_threads(1);
  const jobs::Dataset data = test::tiny_dataset();
  jobs::TrainSpec spec = test::tiny_training(40);
  spec.model = test::tiny_guide_model();
  spec.label_dropout = 0.1;
  const Trained whole = train(spec, data, {}, torch::kCPU, no_progress);
  CHECK(whole.last_loss < whole.first_loss);
  CHECK(!whole.model->is_training());
  const Trained pieces = test::in_pieces({1, 13, 40}, [&](const auto& progress, JobCheckpoints& checkpoints) {
    return train(spec, data, {}, torch::kCPU, progress, &checkpoints);
  });
  const auto a = whole.model->parameters(), b = pieces.model->parameters();
  REQUIRE(a.size() == b.size());
  for (std::size_t i = 0; i < a.size(); ++i) CHECK(torch::equal(a[i], b[i]));
}
