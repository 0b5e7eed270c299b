// Unlearning operators on text-to-image models: every operator on latents, each row under its own caption.
#include <doctest/doctest.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>

#include "common/error.hpp"
#include "jobs/noise_schedule.hpp"
#include "tests/support/in_pieces.hpp"
#include "tests/support/tiny_styles.hpp"
#include "worker/training/trainer.hpp"
#include "worker/unlearn/class_guide.hpp"
#include "worker/unlearn/guard.hpp"
#include "worker/unlearn/operators.hpp"
#include "worker/unlearn/unlearner.hpp"

using namespace guda;
using namespace guda::worker;
using test::no_progress;

namespace {

struct Study : test::TinyStyles {
  Denoiser full;
  Study() {
    at::set_num_threads(1);
    jobs::TrainSpec training = test::tiny_training(30);
    training.model = test::tiny_text_model();
    training.caption_dropout = 0.1;
    full = train(training, examples, {}, torch::kCPU, no_progress).model;
    full->eval();
  }
  [[nodiscard]] static jobs::UnlearnSpec spec(const std::string& op) {
    jobs::UnlearnSpec spec;
    spec.diffusion = test::tiny_diffusion();
    spec.unlearn.op = op;
    spec.unlearn.steps = 4;
    spec.unlearn.retain_batch = 8;
    spec.unlearn.warmup_steps = op == "fisher" ? jobs::UnlearnConfig{}.warmup_steps : 1;
    return spec;
  }
  [[nodiscard]] Denoiser copy() const {
    const Denoiser model = make_denoiser(test::tiny_text_model(), 0);
    const torch::NoGradGuard no_grad;
    const auto from = full->parameters(), to = model->parameters();
    for (std::size_t i = 0; i < to.size(); ++i) torch::Tensor(to[i]).copy_(from[i]);
    return model;
  }
  [[nodiscard]] Denoiser run(const jobs::UnlearnSpec& spec, JobCheckpoints* checkpoints = nullptr,
                             const std::function<void(const Progress&)>& progress = no_progress) const {
    const Denoiser model = copy();
    unlearn(model, full, spec, examples, removed, 8, torch::kCPU, progress, checkpoints);
    return model;
  }
};

const Study& study() {
  static const Study one;
  return one;
}

bool finite(const Denoiser& model) {
  const auto weights = model->parameters();
  return std::all_of(weights.begin(), weights.end(),
                     [](const auto& p) { return p.isfinite().all().template item<bool>(); });
}

}  // namespace

TEST_CASE("text-to-image unlearning: every operator moves the model, its own way, and repeats bit by bit") {
  const Denoiser before = study().copy();
  std::vector<Denoiser> models;
  for (const OperatorEntry& entry : kOperators) {
    CAPTURE(entry.name);
    const jobs::UnlearnSpec spec = Study::spec(std::string(entry.name));
    models.push_back(study().run(spec));
    CHECK(finite(models.back()));
    CHECK(test::same_weights(models.back(), study().run(spec)));
    CHECK_FALSE(test::same_weights(models.back(), study().full));
    for (std::size_t other = 0; other + 1 < models.size(); ++other)
      CHECK_FALSE(test::same_weights(models.back(), models[other]));
  }
  CHECK(test::same_weights(before, study().full));
}

TEST_CASE("text-to-image unlearning: with mirrors and neighbours, interrupted or in parts, the same model") {
  for (const char* op : {"retrack_exact", "esd_class", "fisher"}) {
    CAPTURE(op);
    jobs::UnlearnSpec spec = Study::spec(op);
    const Denoiser plain = study().run(spec);
    spec.unlearn.horizontal_flip = true;
    const Denoiser whole = study().run(spec);
    CHECK_FALSE(test::same_weights(whole, plain));
    const Denoiser pieces = test::in_pieces({1, 3, 4}, [&](const auto& progress, JobCheckpoints& checkpoints) {
      return study().run(spec, &checkpoints, progress);
    });
    CHECK(test::same_weights(whole, pieces));
    if (std::string(op) == "fisher") continue;  // image by image anyway
    spec.micro_batch = 7;
    const auto all = whole->parameters(), parts = study().run(spec)->parameters();
    for (std::size_t i = 0; i < all.size(); ++i) CHECK(torch::allclose(all[i], parts[i], 1e-3, 2e-4));
  }
}

TEST_CASE("text-to-image unlearning: captions count, in every operator that asks the model") {
  jobs::Dataset renamed = study().data;
  // The same images and latents; the forgotten ones are told another known caption.
  for (const std::uint32_t item : study().removed) renamed.captions[item] = study().data.captions[item + 1];
  const Examples other(renamed, study().examples.latents(), test::tiny_texts(study().data));
  for (const char* op : {"retrack_exact", "esd", "esd_class", "fisher"}) {
    CAPTURE(op);
    const Denoiser model = study().copy();
    unlearn(model, study().full, Study::spec(op), other, study().removed, 8, torch::kCPU, no_progress);
    CHECK_FALSE(test::same_weights(model, study().run(Study::spec(op))));
  }
}

TEST_CASE(
    "esd_class: a text-to-image model guides itself, without a caption and under each row's own (methods.md 3.1)") {
  const jobs::NoiseSchedule schedule(test::tiny_diffusion());
  const StepImages rows = noised_images(SeedPath(4), 0, study().removed, {}, study().examples, schedule);
  const Guidance guidance =
      guidance_by_captions(study().full, Prediction::epsilon, schedule, rows, study().examples, torch::kCPU);
  const auto asked = [&](const torch::Tensor& context) {
    const torch::NoGradGuard no_grad;
    return study().full(rows.x_t, to_tensor(rows.timesteps), {context, {}}).flatten(1);
  };
  const torch::Tensor none = study().examples.texts().embeddings(std::vector<std::string>(rows.items.size()));
  CHECK(torch::allclose(guidance.conditional, asked(study().examples.context(rows.items)), 1e-5, 1e-6));
  CHECK(torch::allclose(guidance.unconditional, asked(none), 1e-5, 1e-6));
  CHECK_FALSE(torch::allclose(guidance.conditional, guidance.unconditional));
  CHECK(needs_teacher(Study::spec("esd_class").unlearn, /*captions=*/true));
  CHECK_FALSE(needs_teacher(Study::spec("esd_class").unlearn));
  CHECK_THROWS_AS(unlearn(study().copy(), Denoiser(), Study::spec("esd_class"), study().examples, study().removed, 8,
                          torch::kCPU, no_progress),
                  Bug);
}

TEST_CASE("GUARD: on latents under captions too alignments are the inner products of gradients") {
  const std::vector<std::uint32_t> removed(study().removed.begin(), study().removed.begin() + 4);
  const Denoiser model = study().copy();
  model->eval();
  const jobs::UnlearnSpec spec = Study::spec("retrack_exact");
  const auto alignments = guard_alignments(model, spec, study().examples, removed, torch::kCPU, {});
  CHECK(test::same_weights(model, study().full));
  const jobs::NoiseSchedule schedule(spec.diffusion);
  const SeedPath seed = SeedPath(0) / "unlearn" / "guard";
  const auto gradient = [&](const std::vector<std::uint32_t>& items) {
    torch::Tensor loss = torch::zeros({});
    const Seen seen = study().examples.seen(items);
    for (std::uint32_t j = 0; j < 10; ++j) {
      const std::vector<std::uint32_t> timesteps(items.size(), (2 * j + 1) * 5);
      const torch::Tensor noise = draw_noise(seed / "noise", j, {1, 4, 8, 8}).expand_as(seen.x0);
      const torch::Tensor x_t = add_noise(seen.x0, noise, noise_levels(schedule, timesteps));
      loss = loss + (model(x_t, to_tensor(timesteps), {seen.contexts, {}}) - noise).square().mean() / 10;
    }
    std::vector<torch::Tensor> flat;
    for (const torch::Tensor& g : torch::autograd::grad({loss}, model->parameters())) flat.push_back(g.flatten());
    return torch::cat(flat).to(torch::kFloat64);
  };
  std::vector<std::uint32_t> retained;
  for (const std::uint32_t item : study().data.train) {
    if (!std::binary_search(removed.begin(), removed.end(), item)) retained.push_back(item);
  }
  const torch::Tensor mean = gradient(retained);
  for (std::size_t i = 0; i < removed.size(); ++i) {
    const torch::Tensor own = gradient({removed[i]});
    CHECK(std::abs(alignments[i] - own.dot(mean).item<double>()) <
          0.02 * own.norm().item<double>() * mean.norm().item<double>());
  }
  jobs::UnlearnSpec weighed = Study::spec("guda_c");
  const Denoiser plain = study().run(weighed);
  weighed.unlearn.guard_temperature = 1;
  CHECK_FALSE(test::same_weights(plain, study().run(weighed)));
}
