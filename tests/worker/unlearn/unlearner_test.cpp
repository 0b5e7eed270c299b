#include "worker/unlearn/unlearner.hpp"

#include <doctest/doctest.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

#include "common/error.hpp"
#include "tests/support/in_pieces.hpp"
#include "tests/support/tiny_study.hpp"
#include "worker/diffusion/scoring.hpp"
#include "worker/training/images.hpp"
#include "worker/training/trainer.hpp"
#include "worker/unlearn/guard.hpp"
#include "worker/unlearn/operators.hpp"

using namespace guda;
using namespace guda::worker;
using test::no_progress;

namespace {

struct Study {
  jobs::Dataset data = test::tiny_dataset();
  UNet2D full = train(test::tiny_training(120), data, {}, torch::kCPU, no_progress).model.unet2d();
  std::vector<std::uint32_t> removed = test::items_of(data, 0);

  [[nodiscard]] static jobs::UnlearnSpec spec(const std::string& op, std::uint32_t steps = 4) {
    jobs::UnlearnSpec spec;
    spec.diffusion = test::tiny_diffusion();
    spec.unlearn.op = op;
    spec.unlearn.steps = steps;
    spec.unlearn.retain_batch = 8;
    return spec;
  }
  [[nodiscard]] UNet2D run(const jobs::UnlearnSpec& spec, std::span<const std::uint32_t> removal) const {
    UNet2D model = copy_unet2d(full);
    unlearn(model, full, spec, data, removal, 10, torch::kCPU, no_progress);
    return model;
  }
  [[nodiscard]] UNet2D run(const jobs::UnlearnSpec& spec) const { return run(spec, removed); }
};

const Study& study() {
  at::set_num_threads(1);
  static const Study one;
  return one;
}

/// Mean squared error of a model on some items over the timestep axis.
double loss_on(UNet2D model, const std::vector<std::uint32_t>& items) {
  std::vector<std::string> names;
  for (const std::uint32_t item : items) names.push_back(std::to_string(item));
  std::vector<jobs::Slot> slots;
  for (std::uint32_t t = 5; t < 100; t += 10) slots.push_back({t, 0, 0});
  double sum = 0;
  const auto losses = squared_errors(model, test::tiny_diffusion(), gather_images(study().data, items), names, slots,
                                     64, 1, torch::kCPU, no_progress);
  for (const float loss : losses) sum += loss;
  return sum / static_cast<double>(losses.size());
}

}  // namespace

TEST_CASE("unlearning: every operator repeats bit by bit, differs from the others and leaves the full model alone") {
  const UNet2D before = copy_unet2d(study().full);
  std::vector<UNet2D> models;
  for (const OperatorEntry& entry : kOperators) {
    if (entry.needs_guide || entry.needs_anchor) continue;  // class_guide_test.cpp, anchors_test.cpp
    CAPTURE(entry.name);
    models.push_back(study().run(Study::spec(std::string(entry.name))));
    CHECK(test::same_weights(models.back(), study().run(Study::spec(std::string(entry.name)))));
    CHECK_FALSE(test::same_weights(models.back(), study().full));
    CHECK_FALSE(models.back()->is_training());
    for (std::size_t other = 0; other + 1 < models.size(); ++other)
      CHECK_FALSE(test::same_weights(models.back(), models[other]));
  }
  CHECK(test::same_weights(before, study().full));
}

TEST_CASE("unlearning: micro-batches give every operator's model within 1e-5, by other sums") {
  for (const OperatorEntry& entry : kOperators) {
    if (entry.needs_guide || entry.needs_anchor || entry.one_step) continue;
    CAPTURE(entry.name);
    jobs::UnlearnSpec spec = Study::spec(std::string(entry.name));
    const UNet2D whole = study().run(spec);
    for (const std::uint32_t micro_batch : {5U, 2U}) {
      spec.micro_batch = micro_batch;
      const UNet2D parts = study().run(spec);
      double largest = 0;
      for (std::size_t i = 0; i < whole->parameters().size(); ++i) {
        largest = std::max(largest, (whole->parameters()[i] - parts->parameters()[i]).abs().max().item<double>());
      }
      CHECK(largest < 1e-5);
      CHECK(largest > 0);
    }
  }
}

TEST_CASE("unlearning: after it the removed images cost more, relative to the others, than before (methods.md 1.6.6)") {
  std::vector<std::uint32_t> kept;
  for (const std::uint32_t item : study().data.train) {
    if (!std::binary_search(study().removed.begin(), study().removed.end(), item)) kept.push_back(item);
  }
  const double before_removed = loss_on(study().full, study().removed), before_kept = loss_on(study().full, kept);
  for (const char* op : {"retrack_exact", "retrack_minsnr", "retrack_released", "ifu"}) {
    CAPTURE(op);
    auto spec = Study::spec(op, 60);
    spec.unlearn.retain_batch = 32;
    UNet2D model = study().run(spec);
    const double rise_removed = loss_on(model, study().removed) - before_removed,
                 rise_kept = loss_on(model, kept) - before_kept;
    CHECK(rise_removed > rise_kept + 0.2);
  }
}

TEST_CASE("unlearning: the removed images do not matter to fine-tuning on the rest") {
  jobs::Dataset damaged = study().data;
  for (const std::uint32_t item : study().removed) damaged.pixels[item * 64 + 20] = 3;
  UNet2D model = copy_unet2d(study().full);
  unlearn(model, study().full, Study::spec("finetune_retain"), damaged, study().removed, 10, torch::kCPU, no_progress);
  CHECK(test::same_weights(model, study().run(Study::spec("finetune_retain"))));
}

TEST_CASE("unlearning: every option that an operator reads changes its weights") {
  const auto differs = [&](const char* op, const char* what, auto&& change) {
    CAPTURE(op);
    CAPTURE(what);
    jobs::UnlearnSpec spec = Study::spec(op);
    const UNet2D reference = study().run(spec);
    change(spec);
    CHECK_FALSE(test::same_weights(reference, study().run(spec)));
  };
  differs("retrack_exact", "steps", [](auto& s) { s.unlearn.steps = 5; });
  differs("retrack_exact", "retain_batch", [](auto& s) { s.unlearn.retain_batch = 9; });
  differs("retrack_exact", "forget_batch", [](auto& s) { s.unlearn.forget_batch = 9; });
  differs("retrack_exact", "lr", [](auto& s) { s.unlearn.optimizer.lr = 3e-4; });
  differs("retrack_exact", "warmup_steps", [](auto& s) { s.unlearn.warmup_steps = 2; });
  differs("retrack_exact", "decay", [](auto& s) {
    s.unlearn.warmup_steps = 0;
    s.unlearn.decay = "constant";
  });
  differs("retrack_exact", "clip", [](auto& s) { s.unlearn.clip = 0.01; });
  differs("retrack_exact", "forget_weight", [](auto& s) { s.unlearn.forget_weight = 0.5; });
  differs("retrack_exact", "forget_scaling", [](auto& s) { s.unlearn.forget_scaling = "proportional"; });
  differs("retrack_exact", "neighbours", [](auto& s) { s.unlearn.neighbours = 0; });
  differs("retrack_exact", "preserve", [](auto& s) { s.unlearn.preserve = "distillation"; });
  differs("retrack_exact", "seed", [](auto& s) { s.seed = 1; });
  differs("retrack_clipped", "kl_cap", [](auto& s) { s.unlearn.kl_cap = 50; });
  differs("retrack_minsnr", "minsnr_gamma", [](auto& s) { s.unlearn.minsnr_gamma = 1; });
  differs("ifu", "rho", [](auto& s) { s.unlearn.rho = 0; });
  differs("ifu", "strength", [](auto& s) { s.unlearn.strength = 2; });
  differs("retrack_exact", "horizon", [](auto& s) {
    s.unlearn.warmup_steps = 0;
    s.unlearn.horizon = 40;
  });
  differs("retrack_exact", "horizontal_flip", [](auto& s) { s.unlearn.horizontal_flip = true; });
  differs("retrack_released", "guard_temperature", [](auto& s) { s.unlearn.guard_temperature = 1; });
  differs("esd", "guidance", [](auto& s) { s.unlearn.guidance = 1; });
  differs("esd", "preserve", [](auto& s) { s.unlearn.preserve = "distillation"; });
  differs("erasediff", "forget_scaling", [](auto& s) { s.unlearn.forget_scaling = "proportional"; });
  differs("siss", "gradient_cap", [](auto& s) { s.unlearn.gradient_cap = 0.001; });
  differs("fisher", "strength", [](auto& s) { s.unlearn.strength = 0.5; });
  differs("fisher", "damping", [](auto& s) { s.unlearn.damping = 1; });
  differs("fisher", "horizontal_flip", [](auto& s) { s.unlearn.horizontal_flip = true; });
}

TEST_CASE(
    "unlearning: in pieces every operator ends with the same bits as in one go, with dropout and distillation too") {
  Json with_dropout = test::tiny_model();
  with_dropout["dropout"] = 0.2;
  const UNet2D other = make_unet2d(with_dropout, 3);
  const auto check = [&](const std::string& op, const std::string& preserve, const UNet2D& full) {
    CAPTURE(op);
    CAPTURE(preserve);
    auto spec = Study::spec(op, 12);
    spec.unlearn.preserve = preserve;
    const auto& removed = study().removed;
    struct Result {
      UNet2D model{nullptr};
      Unlearned losses;
    };
    const auto run = [&](const auto& progress, JobCheckpoints* checkpoints) {
      Result result{copy_unet2d(full), {}};
      result.losses = unlearn(result.model, full, spec, study().data, removed, 10, torch::kCPU, progress, checkpoints,
                              test::tiny_guide());
      return result;
    };
    const Result whole = run(no_progress, nullptr);
    const Result pieces = test::in_pieces({1, 4, 5, 11, 12}, [&](const auto& progress, JobCheckpoints& checkpoints) {
      return run(progress, &checkpoints);
    });
    CHECK(test::same_weights(whole.model, pieces.model));
    CHECK(whole.losses.retain_loss == pieces.losses.retain_loss);
    CHECK(whole.losses.forget_loss == pieces.losses.forget_loss);
  };
  for (const OperatorEntry& entry : kOperators) {
    if (entry.needs_anchor) continue;
    check(std::string(entry.name), "standard", study().full);
    check(std::string(entry.name), "standard", other);
  }
  check("retrack_exact", "distillation", study().full);
}

TEST_CASE("unlearning: with an infinitely high GUARD temperature the bits are those without GUARD (methods.md 9)") {
  auto spec = Study::spec("retrack_released");
  const UNet2D plain = study().run(spec);
  spec.unlearn.guard_temperature = 1e300;
  CHECK(test::same_weights(plain, study().run(spec)));
}

TEST_CASE("unlearning: GUARD says how the removed images are aligned with the retained ones") {
  auto spec = Study::spec("retrack_released");
  UNet2D model = copy_unet2d(study().full);
  CHECK_FALSE(
      unlearn(model, study().full, spec, study().data, study().removed, 10, torch::kCPU, no_progress).alignment);
  spec.unlearn.guard_temperature = 1;
  model = copy_unet2d(study().full);
  const auto alignments = guard_alignments(model, spec, study().data, study().removed, torch::kCPU, {});
  const auto found = unlearn(model, study().full, spec, study().data, study().removed, 10, torch::kCPU, no_progress);
  REQUIRE(found.alignment);
  const double n = static_cast<double>(alignments.size());
  const double mean = std::accumulate(alignments.begin(), alignments.end(), 0.0) / n;
  CHECK(found.alignment->mean == doctest::Approx(mean));
  double squares = 0;
  for (const double a : alignments) squares += (a - mean) * (a - mean) / n;
  CHECK(found.alignment->sd == doctest::Approx(std::sqrt(squares)));
}

TEST_CASE("unlearning: a stop is heard while it looks for neighbours") {
  UNet2D model = copy_unet2d(study().full);
  CHECK_THROWS_AS(
      unlearn(model, study().full, Study::spec("retrack_exact"), study().data, study().removed, 10, torch::kCPU,
              [](const Progress& p) {
                if (p.step == 0) throw Cancelled{};
              }),
      Cancelled);
}

TEST_CASE("unlearning: the forget weight is lambda, lambda n_k/n_r groups, or n_k/n_r") {
  jobs::UnlearnConfig config;
  CHECK(forget_weight(config, 150, 1350, 10) == 0.1);
  config.forget_scaling = "proportional";
  CHECK(forget_weight(config, 150, 1350, 10) == doctest::Approx(0.1 * 10.0 / 9.0));
  CHECK(forget_weight(config, 30, 1470, 10) == doctest::Approx(0.1 * 300.0 / 1470.0));
  jobs::UnlearnConfig ifu;
  ifu.op = "ifu";
  CHECK(forget_weight(ifu, 150, 1350, 10) == doctest::Approx(1.0 / 9.0));
}

TEST_CASE("unlearning: the teacher is asked for where it is needed") {
  jobs::UnlearnConfig config;
  CHECK_FALSE(needs_teacher(config));
  config.preserve = "distillation";
  CHECK(needs_teacher(config));
  jobs::UnlearnConfig ifu;
  ifu.op = "ifu";
  CHECK(needs_teacher(ifu));
  for (const OperatorEntry& op : kOperators) {
    CAPTURE(op.name);
    for (const char* preserve : {"standard", "distillation"}) {
      jobs::UnlearnConfig any;
      any.op = std::string(op.name);
      any.preserve = preserve;
      const auto taught = [&]() -> std::optional<bool> {
        try {
          return needs_teacher(any);
        } catch (const Error&) {  // it has no use for preserve
          return std::nullopt;
        }
      }();
      if (taught && !op.one_step) CHECK(jobs::is_taught(any) == *taught);  // what the plan says and what is done
    }
  }
  UNet2D model = copy_unet2d(study().full);
  CHECK_THROWS_AS(
      unlearn(model, UNet2D{nullptr}, Study::spec("ifu"), study().data, study().removed, 10, torch::kCPU, no_progress),
      Bug);
}

TEST_CASE("unlearning: an empty removal and a diverging run are errors") {
  CHECK_THROWS_AS((void)study().run(Study::spec("retrack_exact"), {}), Error);
  auto spec = Study::spec("retrack_exact", 30);
  spec.unlearn.optimizer.lr = 1e30;
  spec.unlearn.warmup_steps = 0;
  CHECK_THROWS_WITH_AS((void)study().run(spec), doctest::Contains("unlearning by retrack_exact"), DivergenceError);
}
