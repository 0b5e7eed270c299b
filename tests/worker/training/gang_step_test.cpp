// One training job done by several members: the same model as one worker makes, up to rounding, and the same bits in
// every run.
#include "worker/training/gang_step.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "common/error.hpp"
#include "tests/support/gang_of_threads.hpp"
#include "tests/support/scratch_folder.hpp"
#include "tests/support/tiny_study.hpp"
#include "worker/training/trainer.hpp"

using namespace guda;
using namespace guda::worker;
using test::no_progress;

namespace {

/// What every member has trained, by rank.
std::vector<Trained> train_together(const jobs::TrainSpec& spec, const jobs::Dataset& data, std::uint32_t size) {
  std::vector<Trained> trained(size);
  test::rethrow_first(test::gang_of_threads(size, [&](Gang& gang) {
    trained[gang.rank()] = train(spec, data, {}, torch::kCPU, no_progress, nullptr, &gang);
  }));
  return trained;
}

double largest_difference(const std::vector<torch::Tensor>& a, const std::vector<torch::Tensor>& b) {
  double largest = a.size() == b.size() ? 0 : std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i)
    largest = std::max(largest, (a[i] - b[i]).abs().max().item<double>());
  return largest;
}

}  // namespace

TEST_CASE("micro-batches: ten steps give the model of whole batches within 1e-5, by other sums, alone and in a gang") {
  at::set_num_threads(1);
  const jobs::Dataset data = test::tiny_dataset();
  jobs::TrainSpec spec = test::tiny_training(10);
  const Trained whole = train(spec, data, {}, torch::kCPU, no_progress);
  spec.micro_batch = 3;
  const Trained parts = train(spec, data, {}, torch::kCPU, no_progress);
  const Trained member = train_together(spec, data, 2)[0];
  for (const Trained* trained : {&parts, &member}) {
    const double difference = largest_difference(whole.model->parameters(), trained->model->parameters());
    CHECK(difference < 1e-5);
    CHECK(difference > 0);
    CHECK(std::abs(whole.last_loss - trained->last_loss) < 1e-5);
  }
}

TEST_CASE("gang training: ten steps of two and of three members give one worker's model within 1e-5, and its losses") {
  at::set_num_threads(1);
  const jobs::Dataset data = test::tiny_dataset();
  for (const double ema : {0.0, 0.995}) {
    jobs::TrainSpec spec = test::tiny_training(10);
    spec.training.ema_max_decay = ema;
    spec.training.horizontal_flip = true;
    const Trained alone = train(spec, data, {}, torch::kCPU, no_progress);
    for (const std::uint32_t size : {2U, 3U}) {  // 3 does not divide the batch
      CAPTURE(ema);
      CAPTURE(size);
      const auto together = train_together(spec, data, size);
      const double difference = largest_difference(alone.model->parameters(), together[0].model->parameters());
      MESSAGE("largest difference of a weight ", difference);
      CHECK(difference < 1e-5);
      CHECK(std::abs(alone.first_loss - together[0].first_loss) < 1e-5);
      CHECK(std::abs(alone.last_loss - together[0].last_loss) < 1e-5);
      for (const Trained& member : together) CHECK(test::same_weights(member.model, together[0].model));
    }
  }
}

TEST_CASE("gang training: the class-conditional guide is trained by a gang as well") {
  at::set_num_threads(1);
  const jobs::Dataset data = test::tiny_dataset();
  jobs::TrainSpec spec = test::tiny_training(10);
  spec.model = test::tiny_guide_model();
  spec.label_dropout = 0.3;
  const Trained alone = train(spec, data, {}, torch::kCPU, no_progress);
  std::vector<Trained> together(2);
  test::rethrow_first(test::gang_of_threads(
      2, [&](Gang& gang) { together[gang.rank()] = train(spec, data, {}, torch::kCPU, no_progress, nullptr, &gang); }));
  // Weights whose gradient is zero but for rounding (biases of keys) move by the rounding's sign: losses tell.
  CHECK(std::abs(alone.first_loss - together[0].first_loss) < 1e-5);
  CHECK(std::abs(alone.last_loss - together[0].last_loss) < 1e-4);
  CHECK(largest_difference(together[0].model->parameters(), together[1].model->parameters()) == 0);
}

TEST_CASE("gang training: equal bits in every run, other bits for another size") {
  at::set_num_threads(1);
  const jobs::Dataset data = test::tiny_dataset();
  const jobs::TrainSpec spec = test::tiny_training(10);
  const auto first = train_together(spec, data, 2), again = train_together(spec, data, 2);
  CHECK(test::same_weights(first[0].model, again[0].model));
  CHECK(first[0].last_loss == again[0].last_loss);
  CHECK_FALSE(test::same_weights(first[0].model, train_together(spec, data, 3)[0].model));
}

TEST_CASE("gang training: handed back by the root or by another member and resumed, it ends with the same bits") {
  at::set_num_threads(1);
  const jobs::Dataset data = test::tiny_dataset();
  const jobs::TrainSpec spec = test::tiny_training(12);
  const auto whole = train_together(spec, data, 2);
  const test::ScratchFolder folder;
  Trained result;
  std::uint64_t resumed_from = 0;
  const auto attempt = [&](std::uint32_t who, std::uint64_t cut) {
    return test::gang_of_threads(2, [&](Gang& gang) {
      const auto progress = [&](const Progress& p) {
        if (gang.rank() == who && p.step == cut) throw Cancelled{};
      };
      if (gang.rank() != 0) return (void)train(spec, data, {}, torch::kCPU, progress, nullptr, &gang);
      JobCheckpoints checkpoints({folder / "job.checkpoints", digest_of("job"), {}, "test", [] { return 0.0; }, {}});
      result = train(spec, data, {}, torch::kCPU, progress, &checkpoints, &gang);
      resumed_from = checkpoints.resumed_from();
    });
  };
  CHECK(attempt(0, 5)[0]);  // the root is told first: it saves step 5
  CHECK(attempt(1, 8)[1]);  // the other one: what the root has saved serves
  test::rethrow_first(attempt(9, 0));
  CHECK(resumed_from >= 5);
  CHECK(test::same_weights(whole[0].model, result.model));
  CHECK(whole[0].first_loss == result.first_loss);
  CHECK(whole[0].last_loss == result.last_loss);
}

TEST_CASE("gang training: a loss that is not finite is found by the member that has it") {
  at::set_num_threads(1);
  jobs::TrainSpec spec = test::tiny_training(20);
  spec.training.optimizer.lr = 1e30;
  const jobs::Dataset data = test::tiny_dataset();
  CHECK_THROWS_AS((void)train_together(spec, data, 2), DivergenceError);
}
