#include "worker/attribution/mirror.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "common/error.hpp"
#include "tests/support/tiny_study.hpp"
#include "worker/attribution/gradient_features.hpp"
#include "worker/attribution/item_losses.hpp"
#include "worker/training/images.hpp"
#include "worker/training/trainer.hpp"

using namespace guda;
using namespace guda::worker;

namespace {

/// A model that has learnt the tiny study a little, its groups by class, and its Fisher diagonal.
struct Study {
  jobs::Dataset data = test::tiny_dataset();
  UNet2D model{nullptr};
  std::vector<jobs::RemovalSet> groups;
  torch::Tensor fisher;
  Study() {
    jobs::TrainSpec training = test::tiny_training(150);
    training.training.ema_max_decay = 0;
    model = train(training, data, {}, torch::kCPU, test::no_progress).model;
    model->eval();
    for (std::uint32_t label = 0; label < 10; ++label)
      groups.push_back({"group " + std::to_string(label), test::items_of(data, label)});
    jobs::FeaturesSpec spec;
    spec.diffusion = test::tiny_diffusion();
    spec.timesteps = 1;
    fisher = fisher_diagonal(model, spec, gather_images(data, data.train), torch::kCPU, {}).rows[0];
  }
  [[nodiscard]] static jobs::MirrorSpec spec(const std::string& method) {
    jobs::MirrorSpec spec;
    spec.method = method;
    spec.diffusion = test::tiny_diffusion();
    spec.seed = 5;
    spec.ascent.timesteps = 5;
    spec.ascent.draws = 64;
    spec.mucs.lr = 4e-3;
    spec.mucs.batch = 16;
    spec.mucs.max_steps = 60;
    spec.mucs.timesteps = 5;
    return spec;
  }
  [[nodiscard]] MirrorScores scores(const jobs::MirrorSpec& spec, std::vector<std::uint32_t> items,
                                    std::span<const jobs::RemovalSet> sets) {
    std::vector<std::string> names;
    for (const std::uint32_t item : items) names.push_back("item " + std::to_string(item));
    return mirror_scores(model, spec, gather_images(data, items), names, fisher, data, sets, torch::kCPU,
                         test::no_progress);
  }
};

Study& study() {
  static Study one;
  return one;
}

}  // namespace

TEST_CASE("mirrored methods: a training image that is its own query ranks among the first of all") {
  Study& s = study();
  std::vector<jobs::RemovalSet> each;
  for (const std::uint32_t item : s.data.train) each.push_back({"item " + std::to_string(item), {item}});
  for (const std::string method : {"abu", "mucs"}) {
    CAPTURE(method);
    for (const std::size_t own : {3, 50}) {
      const auto scores = s.scores(Study::spec(method), {s.data.train[own]}, each).scores;
      const auto better = std::count_if(scores.begin(), scores.end(), [&](double x) { return x > scores[own]; });
      CHECK(better < 6);  // of 120
    }
  }
}

TEST_CASE("mirrored methods: scores of a query do not depend on its block, and the model has its weights back") {
  Study& s = study();
  UNet2D before = copy_unet2d(s.model);
  for (const std::string method : {"abu", "choi", "mucs"}) {
    CAPTURE(method);
    const auto both = s.scores(Study::spec(method), {s.data.held_out[0], s.data.held_out[1]}, s.groups);
    const auto second = s.scores(Study::spec(method), {s.data.held_out[1]}, s.groups);
    CHECK(both.scores.size() == 20);
    CHECK(std::equal(second.scores.begin(), second.scores.end(), both.scores.begin() + 10));
    CHECK(test::same_weights(s.model, before));
    CHECK(*std::max_element(both.standard_error.begin(), both.standard_error.end()) == 0);  // all items were looked at
  }
}

TEST_CASE("mirrored methods: a sample of a group's items estimates the group within its standard error") {
  Study& s = study();
  jobs::MirrorSpec spec = Study::spec("abu");
  const auto all = s.scores(spec, {s.data.held_out[0]}, s.groups);
  spec.ascent.items = 6;
  const auto some = s.scores(spec, {s.data.held_out[0]}, s.groups);
  double squares = 0;
  for (std::size_t g = 0; g < 10; ++g) {
    CHECK(some.standard_error[g] > 0);
    squares += std::pow((some.scores[g] - all.scores[g]) / some.standard_error[g], 2);
  }
  CHECK(std::sqrt(squares / 10) < 2.5);
}

TEST_CASE("abu: the step is the published one with lr, nothing moves without attention layers") {
  Study& s = study();
  jobs::MirrorSpec spec = Study::spec("abu");
  spec.ascent.lr = 1e-12;
  for (const double score : s.scores(spec, {s.data.held_out[0]}, s.groups).scores) CHECK(std::abs(score) < 1e-6);
  // Twice the rate, twice the change, as long as it is small.
  spec.ascent.lr = 1e-2;
  const auto one = s.scores(spec, {s.data.held_out[0]}, s.groups).scores;
  spec.ascent.lr = 2e-2;
  const auto two = s.scores(spec, {s.data.held_out[0]}, s.groups).scores;
  const auto most = static_cast<std::size_t>(std::max_element(one.begin(), one.end()) - one.begin());
  CHECK(two[most] / one[most] > 1.5);
  CHECK(two[most] / one[most] < 2.7);
  spec.ascent.weights = "attention";
  CHECK_THROWS_WITH_AS((void)s.scores(spec, {s.data.held_out[0]}, s.groups), doctest::Contains("weights: all"), Error);
}

TEST_CASE("skew: 0 for equal losses, near 1 for lost ones, and odd in the two models") {
  const torch::Tensor a = torch::tensor({{0.1, 0.2}, {0.3, 0.5}}, torch::kFloat64), b = 3 * a;
  CHECK(mean_skew(a, a, 1e-3).abs().max().item<double>() == 0);
  CHECK(mean_skew(a, 1e9 * a, 1e-3).min().item<double>() > 0.99);
  CHECK(torch::allclose(mean_skew(a, b, 1e-3), -mean_skew(b, a, 1e-3)));
  CHECK(torch::allclose(mean_skew(a, b, 0), torch::full({2}, 0.5, torch::kFloat64)));
}

TEST_CASE("skew timesteps lie where there is noise enough, evenly") {
  const auto timesteps = skew_timesteps(test::tiny_diffusion(), 10);
  REQUIRE(timesteps.size() == 10);
  CHECK(timesteps.front() > 10);
  CHECK(timesteps.front() < 30);
  CHECK(timesteps.back() < 100);
  for (std::size_t i = 1; i < timesteps.size(); ++i) CHECK(timesteps[i] > timesteps[i - 1]);
}

TEST_CASE("the length of a step is found where the loss has risen by the asked share") {
  int calls = 0;
  const auto loss = [&](double a) { return ++calls, 2 + a + 5 * a * a; };
  const double length = length_for_rise(loss, 0.3, 1);
  CHECK(std::abs(loss(length) - 2.6) < 0.02 * 0.6 + 1e-9);
  CHECK(calls < 20);
  CHECK_THROWS_WITH_AS((void)length_for_rise([](double a) { return 1 - a; }, 0.3, 1), doctest::Contains("rise"), Error);
  CHECK_THROWS_AS((void)length_for_rise(loss, 0.3, 0), Error);
}

TEST_CASE("group means: value, standard error of the drawing, overlap of groups") {
  const std::vector<jobs::RemovalSet> groups{{"a", {1, 2, 3, 4}}, {"b", {3, 4}}};
  const GroupSample all = sample_groups(groups, 0, 1);
  CHECK(all.items == std::vector<std::uint32_t>{1, 2, 3, 4});
  const GroupMeans means = group_means(torch::tensor({1.0, 2.0, 3.0, 6.0}), all);
  CHECK(means.mean == std::vector<double>{3.0, 4.5});
  CHECK(means.standard_error == std::vector<double>{0.0, 0.0});
  const GroupSample some = sample_groups(groups, 2, 1);
  CHECK(some.members[0].size() == 2);
  CHECK(some.members[1].size() == 2);
  CHECK(sample_groups(groups, 2, 1).items == some.items);
}
