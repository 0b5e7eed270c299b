#include "worker/unlearn/anchors.hpp"

#include <doctest/doctest.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "common/error.hpp"
#include "tests/support/in_pieces.hpp"
#include "tests/support/tiny_styles.hpp"
#include "worker/training/trainer.hpp"
#include "worker/unlearn/operators.hpp"
#include "worker/unlearn/unlearner.hpp"

using namespace guda;
using namespace guda::worker;
using test::no_progress;

namespace {

struct Study : test::TinyStyles {
  jobs::NoiseSchedule schedule{test::tiny_diffusion()};

  [[nodiscard]] StepImages forget() const { return noised_images(SeedPath(4), 0, removed, {}, examples, schedule); }
  [[nodiscard]] StepImages anchored(const std::string& mode, std::uint64_t step = 0) const {
    jobs::AnchorConfig config;
    config.mode = mode;
    return Anchors(config, examples, removed).of(forget(), SeedPath(9), step, schedule);
  }
  /// The captions among all that could be told, by row.
  [[nodiscard]] std::vector<std::string> told(const StepImages& rows) const {
    std::vector<std::string> captions;
    for (const char* mode : {"uniform", "style_removed"}) {
      for (const std::string& text : jobs::anchor_captions(data, {.mode = mode})) captions.push_back(text);
    }
    const torch::Tensor all = examples.texts().embeddings(captions);
    std::vector<std::string> found;
    for (std::int64_t i = 0; i < rows.context.size(0); ++i) {
      const torch::Tensor same = (all == rows.context[i]).flatten(1).all(1);
      REQUIRE(same.any().item<bool>());
      found.push_back(captions.at(static_cast<std::size_t>(same.to(torch::kInt64).argmax().item<std::int64_t>())));
    }
    return found;
  }
};

const Study& study() {
  static const Study s;
  return s;
}

}  // namespace

TEST_CASE("anchors: the same noised image under a caption of the same object in another style") {
  for (const char* mode : {"weighted_style_select", "uniform"}) {
    CAPTURE(mode);
    const StepImages forget = study().forget(), anchored = study().anchored(mode);
    CHECK(torch::equal(anchored.x_t, forget.x_t));
    CHECK(anchored.timesteps == forget.timesteps);
    const auto told = study().told(anchored);
    const auto& own = study().data.descriptors[2];
    for (std::size_t i = 0; i < told.size(); ++i) {
      const jobs::Caption anchor = jobs::parse_caption(told[i]);
      CHECK(anchor.object == jobs::parse_caption(study().data.captions[forget.items[i]]).object);
      CHECK(anchor.descriptors.size() == 3);
      CHECK_FALSE(std::all_of(anchor.descriptors.begin(), anchor.descriptors.end(), [&](const std::string& word) {
        return std::find(own.begin(), own.end(), word) != own.end();
      }));
    }
    CHECK(torch::equal(study().anchored(mode).context, anchored.context));
    CHECK_FALSE(torch::equal(study().anchored(mode, 1).context, anchored.context));
  }
}

TEST_CASE("anchors: without its style, or a retained version of the picture with the same noise and its own caption") {
  const StepImages forget = study().forget();
  for (const std::string& caption : study().told(study().anchored("style_removed")))
    CHECK(jobs::parse_caption(caption).descriptors.empty());
  const StepImages matched = study().anchored("matched_retain");
  CHECK(torch::equal(matched.noise, forget.noise));
  CHECK_FALSE(torch::equal(matched.x_t, forget.x_t));
  for (std::size_t i = 0; i < matched.items.size(); ++i) {
    CHECK(matched.items[i] / 8 == forget.items[i] / 8);
    CHECK(study().data.labels[matched.items[i]] != 2);
  }
  CHECK(torch::equal(matched.context, study().examples.context(matched.items)));
}

TEST_CASE(
    "anchors: matched_retain picks among all retained versions of a picture, at the same timestep (methods.md 2.4, "
    "U6)") {
  jobs::AnchorConfig config;
  config.mode = "matched_retain";
  Anchors anchors(config, study().examples, study().removed);
  const StepImages forget = study().forget();
  std::map<std::uint32_t, int> styles;
  constexpr std::uint64_t kSteps = 200;
  for (std::uint64_t step = 0; step < kSteps; ++step) {
    const StepImages matched = anchors.of(forget, SeedPath(9), step, study().schedule);
    CHECK(matched.timesteps == forget.timesteps);
    for (const std::uint32_t item : matched.items) ++styles[study().data.labels[item]];
  }
  CHECK(styles.size() == 7);  // each of the other styles, about equally often
  const double expected = double(kSteps * forget.items.size()) / 7;
  for (const auto& [style, count] : styles) CHECK(std::abs(count - expected) < 5 * std::sqrt(expected));
}

TEST_CASE("anchors: a picture without a retained version is named; images without captions have no anchors") {
  std::vector<std::uint32_t> all(study().data.train);
  std::sort(all.begin(), all.end());
  jobs::AnchorConfig config;
  config.mode = "matched_retain";
  CHECK_THROWS_WITH_AS(Anchors(config, study().examples, all), doctest::Contains("no other version of image"), Error);
  const jobs::Dataset plain = test::tiny_dataset();
  CHECK_THROWS_WITH_AS(Anchors({}, Examples(plain), std::vector<std::uint32_t>{1}), doctest::Contains("no captions"),
                       Error);
}

TEST_CASE("guda_c: asked under its own caption a model is at rest (methods.md 2.9.2)") {
  torch::manual_seed(3);
  ForgetBatch batch;
  batch.prediction = torch::randn({4, 16}).requires_grad_();
  batch.anchor = batch.prediction.detach().clone();
  CHECK(guda_c_loss(batch, {}).abs().max().item<double>() == 0);
  batch.anchor = torch::zeros({4, 16});
  CHECK(torch::allclose(guda_c_loss(batch, {}), batch.prediction.square().mean(1)));
}

TEST_CASE("guda_c: it unlearns with every anchor, and interrupted or in parts as in one go") {
  at::set_num_threads(1);
  jobs::TrainSpec training = test::tiny_training(20);
  training.model = test::tiny_text_model();
  training.caption_dropout = 0.1;
  const Denoiser full = train(training, study().examples, {}, torch::kCPU, no_progress).model;
  const auto start = [&] {
    const Denoiser copy = make_denoiser(training.model, 0);
    const torch::NoGradGuard no_grad;
    const auto from = full->parameters();
    const auto to = copy->parameters();
    for (std::size_t i = 0; i < to.size(); ++i) to[i].copy_(from[i]);
    return copy;
  };
  for (const char* mode : {"weighted_style_select", "uniform", "style_removed", "matched_retain"}) {
    CAPTURE(mode);
    jobs::UnlearnSpec spec;
    spec.diffusion = test::tiny_diffusion();
    spec.unlearn.op = "guda_c";
    spec.unlearn.anchor.mode = mode;
    spec.unlearn.steps = 6;
    spec.unlearn.retain_batch = spec.unlearn.forget_batch = 8;
    spec.unlearn.warmup_steps = 1;
    const auto run = [&](const jobs::UnlearnSpec& s, const auto& progress, JobCheckpoints* checkpoints) {
      const Denoiser model = start();
      unlearn(model, full, s, study().examples, study().removed, 8, torch::kCPU, progress, checkpoints);
      return model;
    };
    const Denoiser whole = run(spec, no_progress, nullptr);
    CHECK_FALSE(test::same_weights(whole, full));
    const Denoiser pieces = test::in_pieces({1, 3, 6}, [&](const auto& progress, JobCheckpoints& checkpoints) {
      return run(spec, progress, &checkpoints);
    });
    CHECK(test::same_weights(whole, pieces));
    spec.micro_batch = 5;
    const auto parts = run(spec, no_progress, nullptr)->parameters();
    const auto all = whole->parameters();
    for (std::size_t i = 0; i < all.size(); ++i) CHECK(torch::allclose(all[i], parts[i], 1e-3, 2e-4));
  }
}
