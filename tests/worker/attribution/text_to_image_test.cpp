// Gradients and mirrored methods of text-to-image models: latents for pixels, each image under its own caption.
#include <doctest/doctest.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>

#include "common/digest.hpp"
#include "common/random.hpp"
#include "jobs/noise_schedule.hpp"
#include "tests/support/tiny_styles.hpp"
#include "worker/attribution/gradient_features.hpp"
#include "worker/attribution/mirror.hpp"
#include "worker/attribution/projection.hpp"
#include "worker/diffusion/noise.hpp"
#include "worker/diffusion/prediction.hpp"
#include "worker/training/streams.hpp"
#include "worker/training/trainer.hpp"

using namespace guda;
using namespace guda::worker;
using test::no_progress;

namespace {

struct Study : test::TinyStyles {
  std::vector<jobs::RemovalSet> styles;
  Denoiser model;
  Study() {
    at::set_num_threads(1);
    jobs::TrainSpec training = test::tiny_training(150);
    training.model = test::tiny_text_model();
    training.training.ema_max_decay = 0;
    model = train(training, examples, {}, torch::kCPU, no_progress).model;
    model->eval();
    for (std::uint32_t style = 0; style < 8; ++style)
      styles.push_back({"style " + std::to_string(style), test::items_of(data, style)});
  }
  [[nodiscard]] Seen seen(std::size_t count, bool mirrors = false) const {
    return examples.seen(std::span(data.train).first(count), mirrors);
  }
  /// Of the mean squared error of one image's noise at one timestep: [weights].
  [[nodiscard]] torch::Tensor gradient(const torch::Tensor& x0, const torch::Tensor& context, std::uint32_t t,
                                       const torch::Tensor& noise) const {
    const jobs::NoiseSchedule schedule(test::tiny_diffusion());
    const std::vector<std::uint32_t> timesteps{t};
    const torch::Tensor x_t = add_noise(x0.unsqueeze(0), noise.unsqueeze(0), noise_levels(schedule, timesteps));
    const torch::Tensor output = model(x_t, to_tensor(timesteps), {context.unsqueeze(0), {}});
    std::vector<torch::Tensor> flat;
    for (const auto& g : torch::autograd::grad({(output[0] - noise).square().mean()}, model->parameters()))
      flat.push_back(g.flatten());
    return torch::cat(flat);
  }
  [[nodiscard]] MirrorScores scores(const jobs::MirrorSpec& spec, const std::vector<std::uint32_t>& items,
                                    std::span<const jobs::RemovalSet> groups, const torch::Tensor& fisher) const {
    std::vector<std::string> names;
    for (const std::uint32_t item : items) names.push_back("item " + std::to_string(item));
    return mirror_scores(model, spec, examples.seen(items), names, fisher, examples, groups, torch::kCPU, no_progress);
  }
};

const Study& study() {
  static const Study one;
  return one;
}

torch::Tensor normal(std::uint64_t seed, std::uint64_t id, std::uint32_t timestep, std::uint32_t draw) {
  torch::Tensor noise = torch::empty({4, 8, 8});
  fill_normal(seed, id, timestep, draw, {noise.data_ptr<float>(), 256});
  return noise;
}

jobs::FeaturesSpec fisher_spec(bool flip = false) {
  jobs::FeaturesSpec spec;
  spec.diffusion = test::tiny_diffusion();
  spec.timesteps = 2;
  spec.flip = flip;
  spec.seed = 3;
  return spec;
}

const torch::Tensor& fisher() {
  static const torch::Tensor diagonal =
      fisher_diagonal(study().model, fisher_spec(), study().seen(study().data.train.size()), torch::kCPU, {}).rows[0];
  return diagonal;
}

jobs::MirrorSpec mirror_spec(const std::string& method) { return test::tiny_mirror(method, 40); }

}  // namespace

TEST_CASE("text-to-image features: projected gradients are those of single images under their own captions") {
  jobs::FeaturesSpec spec;
  spec.diffusion = test::tiny_diffusion();
  spec.loss = "error";
  spec.timesteps = 4;
  spec.projection = "rademacher";
  spec.dimension = 64;
  spec.seed = 3;
  const Seen seen = study().seen(3);
  const Features got = gradient_features(study().model, spec, seen, torch::kCPU, {});
  const std::uint64_t seed = (SeedPath(3) / "noise").value();
  const Projection projection("rademacher", 64, (SeedPath(3) / "projection").value());
  const auto expected = [&](std::int64_t image, std::int64_t told) {
    torch::Tensor sum;
    for (const std::uint32_t t : {0U, 25U, 50U, 75U}) {
      const torch::Tensor g = study().gradient(seen.x0[image], seen.contexts[told], t, normal(seed, 0, t, 0)) / 4;
      sum = sum.defined() ? sum + g : g;
    }
    return projection.apply(sum.unsqueeze(0))[0];
  };
  for (std::int64_t i = 0; i < 3; ++i) {
    const torch::Tensor own = expected(i, i), other = expected(i, (i + 1) % 3);
    CHECK(((got.rows[i] - own).norm() / own.norm()).item<double>() < 1e-4);
    CHECK(((got.rows[i] - other).norm() / own.norm()).item<double>() > 1e-2);
  }
}

TEST_CASE(
    "text-to-image features: the Fisher diagonal is the mean of squared gradients, mirrored latents where asked for") {
  const Seen seen = study().seen(3, /*mirrors=*/true);
  const torch::Tensor plain = fisher_diagonal(study().model, fisher_spec(), seen, torch::kCPU, {}).rows[0];
  torch::Tensor sum = torch::zeros_like(plain);
  const SeedPath seed(3);
  for (std::uint32_t i = 0; i < 3; ++i) {
    for (std::uint32_t pass = 0; pass < 2; ++pass) {
      const auto t = static_cast<std::uint32_t>(random_uniform((seed / "timestep").value(), i * 2 + pass) * 100);
      sum +=
          study().gradient(seen.x0[i], seen.contexts[i], t, normal((seed / "noise").value(), i, 0, pass)).square() / 6;
    }
  }
  CHECK(((plain - sum).norm() / sum.norm()).item<double>() < 1e-4);
  Seen other = seen;
  other.mirrored = seen.x0;  // mirror images that are the images: nothing changes
  CHECK(torch::equal(fisher_diagonal(study().model, fisher_spec(true), other, torch::kCPU, {}).rows[0], plain));
  CHECK_FALSE(torch::equal(fisher_diagonal(study().model, fisher_spec(true), seen, torch::kCPU, {}).rows[0], plain));
}

TEST_CASE("text-to-image mirrored methods: an image that is its own query ranks among the first (methods.md 6.5.3)") {
  std::vector<jobs::RemovalSet> each;
  for (const std::uint32_t item : study().data.train) each.push_back({"item " + std::to_string(item), {item}});
  for (const char* method : {"abu", "mucs"}) {
    CAPTURE(method);
    for (const std::size_t own : {3, 40}) {
      const auto scores = study().scores(mirror_spec(method), {study().data.train[own]}, each, fisher()).scores;
      const auto better = std::count_if(scores.begin(), scores.end(), [&](double x) { return x > scores[own]; });
      CHECK(better < 6);  // of 64
    }
  }
}

TEST_CASE(
    "text-to-image AbU: cross-attention moves keys and values alone, as published, and answers differently (6.1)") {
  const std::vector<std::uint32_t> queries{study().data.train[0], study().data.train[9]};
  jobs::MirrorSpec spec = mirror_spec("abu");
  const Denoiser before = make_denoiser(test::tiny_text_model(), 0);
  {
    const torch::NoGradGuard no_grad;
    const auto to = before->parameters(), from = study().model->parameters();
    for (std::size_t i = 0; i < to.size(); ++i) torch::Tensor(to[i]).copy_(from[i]);
  }
  const auto all = study().scores(spec, queries, study().styles, fisher()).scores;
  CHECK(all.size() == 16);
  spec.ascent.weights = "attention";
  const auto attention = study().scores(spec, queries, study().styles, fisher()).scores;
  spec.ascent.weights = "cross_attention";
  // The published rule with one step: a large Fisher diagonal everywhere else must not matter.
  torch::Tensor elsewhere = fisher().clone();
  std::int64_t at = 0, chosen = 0;
  for (const auto& named : study().model->named_parameters()) {
    const bool moves =
        named.key().find("attn2.to_k") != std::string::npos || named.key().find("attn2.to_v") != std::string::npos;
    if (!moves) elsewhere.narrow(0, at, named.value().numel()).mul_(1e3);
    chosen += moves ? 1 : 0;
    at += named.value().numel();
  }
  CHECK(chosen > 0);
  spec.ascent.damping = 0;
  const auto crossing = study().scores(spec, queries, study().styles, fisher()).scores;
  CHECK(crossing == study().scores(spec, queries, study().styles, elsewhere).scores);
  CHECK(crossing != attention);
  CHECK(crossing != all);
  CHECK(test::same_weights(before, study().model));
}

TEST_CASE("text-to-image mirrored methods: prompts and captions count; mirrored latents are looked at with flip") {
  const std::vector<std::uint32_t> items{study().data.train[0]};
  for (const char* method : {"abu", "mucs"}) {
    CAPTURE(method);
    const jobs::MirrorSpec spec = mirror_spec(method);
    const auto usual = study().scores(spec, items, study().styles, fisher()).scores;
    Seen asked = study().examples.seen(items);
    asked.contexts = study().examples.texts().embeddings(std::vector<std::string>{study().data.captions[1]});
    const std::vector<std::string> names{"item " + std::to_string(items[0])};
    const auto other = mirror_scores(study().model, spec, asked, names, fisher(), study().examples, study().styles,
                                     torch::kCPU, no_progress);
    CHECK(other.scores != usual);
  }
  jobs::MirrorSpec spec = mirror_spec("abu");
  const auto plain = study().scores(spec, items, study().styles, fisher()).scores;
  spec.ascent.flip = true;
  const auto flipped = study().scores(spec, items, study().styles, fisher()).scores;
  for (std::size_t k = 0; k < plain.size(); ++k) CHECK(flipped[k] >= plain[k]);  // the larger of both
  CHECK(flipped != plain);
}
