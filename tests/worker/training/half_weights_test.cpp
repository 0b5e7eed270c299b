#include "worker/training/half_weights.hpp"

#include <doctest/doctest.h>

#include "tests/support/in_pieces.hpp"
#include "tests/support/tiny_study.hpp"
#include "worker/training/trained_parameters.hpp"
#include "worker/training/trainer.hpp"
#include "worker/unlearn/unlearner.hpp"

using namespace guda;
using namespace guda::worker;
using test::no_progress;

TEST_CASE("bfloat16 weights: copies that are rounded from float32 weights, which come back unharmed") {
  const UNet2D model = make_unet2d(test::tiny_model(), 3), reference = make_unet2d(test::tiny_model(), 3);
  {
    HalfWeights half(model->parameters());
    for (const torch::Tensor& p : model->parameters()) CHECK((p.scalar_type() == torch::kBFloat16));
    {
      const torch::NoGradGuard no_grad;
      torch::Tensor(half.masters().front()).add_(1e-5);  // less than bfloat16 can say beside most of the weights
    }
    half.refresh();
    CHECK(torch::equal(model->parameters().front(), half.masters().front().to(torch::kBFloat16)));
  }
  const auto after = model->parameters(), before = reference->parameters();
  CHECK(torch::allclose(after.front(), before.front() + 1e-5, 0, 1e-8));
  for (std::size_t i = 1; i < after.size(); ++i) CHECK(torch::equal(after[i], before[i]));
}

TEST_CASE("bfloat16 weights: training learns what float32 does but for rounding, and small steps are not lost") {
  at::set_num_threads(1);
  const jobs::Dataset data = test::tiny_dataset();
  const auto trained = [&](bool bfloat16, double lr) {
    jobs::TrainSpec spec = test::tiny_training(40);
    spec.training.optimizer.lr = lr;
    return train(spec, data, {}, torch::kCPU, no_progress, nullptr, nullptr, {}, {.bfloat16 = bfloat16});
  };
  const Trained full = trained(false, 1e-3), half = trained(true, 1e-3);
  CHECK((half.model->parameters().front().scalar_type() == torch::kFloat32));
  CHECK(half.last_loss == doctest::Approx(full.last_loss).epsilon(0.05));
  CHECK_FALSE(test::same_weights(full.model, half.model));
  // Steps of 1e-6 vanish in a bfloat16 weight of 0.1, but not in its float32 master.
  const Trained slow = trained(true, 1e-6);
  const Denoiser start = trained(true, 0).model;
  CHECK_FALSE(test::same_weights(slow.model, start));
}

TEST_CASE("bfloat16 weights: training in pieces ends with the bits of one go") {
  at::set_num_threads(1);
  const jobs::Dataset data = test::tiny_dataset();
  const jobs::TrainSpec spec = test::tiny_training(12);
  const auto attempt = [&](const auto& progress, JobCheckpoints& checkpoints) {
    return train(spec, data, {}, torch::kCPU, progress, &checkpoints, nullptr, {}, {.bfloat16 = true});
  };
  const Trained whole = train(spec, data, {}, torch::kCPU, no_progress, nullptr, nullptr, {}, {.bfloat16 = true});
  CHECK(test::same_weights(whole.model, test::in_pieces({4}, attempt).model));
}

TEST_CASE("bfloat16 weights: what is frozen keeps its float32 bits") {
  at::set_num_threads(1);
  const jobs::Dataset data = test::tiny_dataset();
  jobs::TrainSpec spec = test::tiny_training(6);
  spec.model["add_attention"] = true;
  spec.training.parameters.kind = "attention";
  const Trained half = train(spec, data, {}, torch::kCPU, no_progress, nullptr, nullptr, {}, {.bfloat16 = true});
  const Denoiser start = make_denoiser(spec.model, (SeedPath(spec.seed) / "train" / "init").value());
  const auto before = start->named_parameters();
  int trained = 0;
  for (const auto& p : half.model->named_parameters()) {
    CAPTURE(p.key());
    const bool is = is_trained(spec.training.parameters, p.key());
    CHECK(torch::equal(p.value(), before[p.key()]) != is);
    trained += is;
  }
  CHECK(trained > 0);
}

TEST_CASE("bfloat16 weights: unlearning leaves a float32 model near that of float32") {
  at::set_num_threads(1);
  const jobs::Dataset data = test::tiny_dataset();
  const UNet2D full = train(test::tiny_training(60), data, {}, torch::kCPU, no_progress).model.unet2d();
  const auto removed = test::items_of(data, 0);
  const auto unlearned = [&](bool bfloat16, UNet2D& model) {
    jobs::UnlearnSpec spec;
    spec.diffusion = test::tiny_diffusion();
    spec.unlearn.op = "retrack_exact";
    spec.unlearn.steps = 6;
    spec.unlearn.retain_batch = 8;
    model = copy_unet2d(full);
    return unlearn(model, full, spec, data, removed, 10, torch::kCPU, no_progress, nullptr, nullptr,
                   {.bfloat16 = bfloat16});
  };
  UNet2D exact{nullptr}, half{nullptr};
  const Unlearned a = unlearned(false, exact), b = unlearned(true, half);
  CHECK((half->parameters().front().scalar_type() == torch::kFloat32));
  CHECK(b.retain_loss == doctest::Approx(a.retain_loss).epsilon(0.1));
  CHECK_FALSE(test::same_weights(exact, full));
  CHECK_FALSE(test::same_weights(exact, half));
}
