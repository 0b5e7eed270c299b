#include "worker/training/trainer.hpp"

#include <doctest/doctest.h>
#include <torch/torch.h>

#include <cmath>

#include "common/error.hpp"
#include "tests/support/in_pieces.hpp"
#include "tests/support/tiny_study.hpp"
#include "worker/training/loss_guard.hpp"

using namespace guda;
using namespace guda::worker;
using test::no_progress;

TEST_CASE("training: the loss falls") {
  at::set_num_threads(1);
  const Trained trained = train(test::tiny_training(150), test::tiny_dataset(), {}, torch::kCPU, no_progress);
  CHECK(trained.first_loss > 0.5);  // an untrained model, which knows nothing about the noise, has 1
  CHECK(trained.last_loss < 0.75 * trained.first_loss);
  CHECK_FALSE(trained.model->is_training());
}

TEST_CASE("training: equal seeds give equal bits, other seeds others") {
  at::set_num_threads(1);
  const jobs::Dataset data = test::tiny_dataset();
  jobs::TrainSpec spec = test::tiny_training();
  const Trained a = train(spec, data, {}, torch::kCPU, no_progress);
  torch::manual_seed(99);  // what another job left behind does not matter
  const Trained b = train(spec, data, {}, torch::kCPU, no_progress);
  CHECK(test::same_weights(a.model, b.model));
  CHECK(a.last_loss == b.last_loss);
  spec.seed = 1;
  CHECK_FALSE(test::same_weights(a.model, train(spec, data, {}, torch::kCPU, no_progress).model));
}

TEST_CASE("training: what is removed has no influence on the weights, what stays has") {
  at::set_num_threads(1);
  const jobs::Dataset data = test::tiny_dataset();
  jobs::Dataset damaged = data;
  const auto removed = test::items_of(data, 7);
  for (const std::uint32_t item : removed) {
    for (std::size_t p = 0; p < 64; ++p) damaged.pixels[item * 64 + p] = static_cast<std::uint8_t>(p % 17);
  }
  const auto spec = test::tiny_training();
  const Trained without = train(spec, data, removed, torch::kCPU, no_progress);
  CHECK(test::same_weights(without.model, train(spec, damaged, removed, torch::kCPU, no_progress).model));
  CHECK_FALSE(test::same_weights(without.model, train(spec, data, {}, torch::kCPU, no_progress).model));
  CHECK_FALSE(test::same_weights(train(spec, data, {}, torch::kCPU, no_progress).model,
                                 train(spec, damaged, {}, torch::kCPU, no_progress).model));
}

TEST_CASE("training: every option changes the weights") {
  at::set_num_threads(1);
  const jobs::Dataset data = test::tiny_dataset();
  const jobs::TrainSpec base = test::tiny_training(8);
  const Trained reference = train(base, data, {}, torch::kCPU, no_progress);
  const auto differs = [&](const char* what, auto&& change) {
    CAPTURE(what);
    jobs::TrainSpec spec = base;
    change(spec);
    CHECK_FALSE(test::same_weights(reference.model, train(spec, data, {}, torch::kCPU, no_progress).model));
  };
  differs("steps", [](auto& s) { s.training.steps = 9; });
  differs("batch", [](auto& s) { s.training.batch = 17; });
  differs("lr", [](auto& s) { s.training.optimizer.lr = 1e-3; });
  differs("beta1", [](auto& s) { s.training.optimizer.beta1 = 0.5; });
  differs("beta2", [](auto& s) { s.training.optimizer.beta2 = 0.9; });
  differs("eps", [](auto& s) { s.training.optimizer.eps = 1e-2; });
  differs("weight_decay", [](auto& s) { s.training.optimizer.weight_decay = 0.1; });
  differs("warmup_steps", [](auto& s) { s.training.warmup_steps = 4; });
  differs("decay", [](auto& s) { s.training.decay = "constant"; });
  differs("clip", [](auto& s) { s.training.clip = 0.01; });
  differs("ema_max_decay", [](auto& s) { s.training.ema_max_decay = 0; });
  differs("stratified_timesteps", [](auto& s) { s.training.stratified_timesteps = false; });
  differs("horizontal_flip", [](auto& s) { s.training.horizontal_flip = true; });
  differs("prediction", [](auto& s) { s.diffusion.prediction = "v_prediction"; });
  differs("schedule", [](auto& s) { s.diffusion.schedule = "linear"; });
}

TEST_CASE("training: progress counts every step and may stop the job") {
  at::set_num_threads(1);
  std::uint64_t calls = 0;
  (void)train(test::tiny_training(5), test::tiny_dataset(), {}, torch::kCPU, [&](const Progress& p) {
    CHECK(p.step == ++calls);
    CHECK(p.steps == 5);
    CHECK(std::isfinite(p.loss));
  });
  CHECK(calls == 5);
  CHECK_THROWS_AS((void)train(test::tiny_training(5), test::tiny_dataset(), {}, torch::kCPU,
                              [](const Progress& p) {
                                if (p.step == 3) throw Cancelled{};
                              }),
                  Cancelled);
}

TEST_CASE("training: in pieces it ends with the same bits as in one go, with and without EMA, dropout and flips") {
  at::set_num_threads(1);
  const jobs::Dataset data = test::tiny_dataset();
  const auto removed = test::items_of(data, 3);
  for (const double ema : {0.0, 0.995}) {
    for (const double dropout : {0.0, 0.2}) {
      for (const bool flip : {false, true}) {
        CAPTURE(ema);
        CAPTURE(dropout);
        CAPTURE(flip);
        jobs::TrainSpec spec = test::tiny_training(20);
        spec.model["dropout"] = dropout;
        spec.training.ema_max_decay = ema;
        spec.training.horizontal_flip = flip;
        const Trained whole = train(spec, data, removed, torch::kCPU, no_progress);
        // Within the losses of the first tenth, within warm-up, across epochs of 120 items, within the last tenth, at
        // the end.
        const Trained pieces =
            test::in_pieces({1, 2, 7, 8, 15, 19, 20}, [&](const auto& progress, JobCheckpoints& checkpoints) {
              return train(spec, data, removed, torch::kCPU, progress, &checkpoints);
            });
        CHECK(test::same_weights(whole.model, pieces.model));
        CHECK(whole.first_loss == pieces.first_loss);
        CHECK(whole.last_loss == pieces.last_loss);
        CHECK_FALSE(pieces.model->is_training());
      }
    }
  }
}

TEST_CASE("training: a loss that is not finite stops the job with step, timestep and item") {
  const std::vector<std::uint32_t> items{11, 22, 33}, timesteps{5, 600, 999};
  const torch::Tensor rows = torch::tensor({1.0F, NAN, INFINITY});
  CHECK_THROWS_WITH_AS(check_loss(rows.mean(), rows, timesteps, items, 42, "training"),
                       doctest::Contains("step 42 of training (2 bad rows: item 22 at t=600, item 33 at t=999)"),
                       DivergenceError);
  CHECK(check_loss(torch::tensor(0.5), rows, timesteps, items, 42, "training") == 0.5);
  at::set_num_threads(1);
  jobs::TrainSpec spec = test::tiny_training(50);
  spec.training.optimizer.lr = 1e30;
  spec.training.warmup_steps = 0;
  CHECK_THROWS_AS((void)train(spec, test::tiny_dataset(), {}, torch::kCPU, no_progress), DivergenceError);
}
