// Self-checks of AbU, MUCS and Choi et al. (methods.md 6 to 8).
#include "worker/attribution/mirror.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "common/digest.hpp"
#include "common/error.hpp"
#include "jobs/noise_schedule.hpp"
#include "tests/support/handed_back.hpp"
#include "tests/support/tiny_study.hpp"
#include "worker/attribution/gradient_features.hpp"
#include "worker/diffusion/noise.hpp"
#include "worker/training/images.hpp"
#include "worker/training/streams.hpp"
#include "worker/training/trainer.hpp"
#include "worker/unlearn/step_images.hpp"

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
    at::set_num_threads(1);
    jobs::TrainSpec training = test::tiny_training(150);
    training.training.ema_max_decay = 0;
    model = train(training, data, {}, torch::kCPU, test::no_progress).model.unet2d();
    model->eval();
    for (std::uint32_t label = 0; label < 10; ++label)
      groups.push_back({"group " + std::to_string(label), test::items_of(data, label)});
    jobs::FeaturesSpec spec;
    spec.diffusion = test::tiny_diffusion();
    spec.timesteps = 1;
    fisher = fisher_diagonal(model, spec, gather_images(data, data.train), torch::kCPU, {}).rows[0];
  }
  [[nodiscard]] static jobs::MirrorSpec spec(const std::string& method) { return test::tiny_mirror(method, 60); }
  [[nodiscard]] MirrorScores scores(const jobs::MirrorSpec& spec, std::vector<std::uint32_t> items,
                                    std::span<const jobs::RemovalSet> sets) {
    return scores(spec, std::move(items), sets, data);
  }
  /// The training images are those of `other`.
  [[nodiscard]] MirrorScores scores(const jobs::MirrorSpec& spec, std::vector<std::uint32_t> items,
                                    std::span<const jobs::RemovalSet> sets, const jobs::Dataset& other,
                                    const std::function<void(const Progress&)>& progress = test::no_progress,
                                    JobCheckpoints* checkpoints = nullptr) {
    std::vector<std::string> names;
    for (const std::uint32_t item : items) names.push_back("item " + std::to_string(item));
    return mirror_scores(model, spec, gather_images(data, items), names, fisher, other, sets, torch::kCPU, progress,
                         checkpoints);
  }
  /// A group for each of the first `count` training items.
  [[nodiscard]] std::vector<jobs::RemovalSet> singles(std::size_t count) const {
    std::vector<jobs::RemovalSet> each;
    for (std::size_t i = 0; i < count; ++i) each.push_back({"item " + std::to_string(i), {data.train[i]}});
    return each;
  }
};

Study& study() {
  static Study one;
  return one;
}

}  // namespace

TEST_CASE("mirrored methods: a training image that is its own query ranks among the first of all (methods.md 6.5.3)") {
  Study& s = study();
  const std::vector<jobs::RemovalSet> each = s.singles(s.data.train.size());
  for (const std::string method : {"abu", "mucs"}) {
    CAPTURE(method);
    for (const std::size_t own : {3, 50}) {
      const auto scores = s.scores(Study::spec(method), {s.data.train[own]}, each).scores;
      const auto better = std::count_if(scores.begin(), scores.end(), [&](double x) { return x > scores[own]; });
      CHECK(better < 6);  // of 120
    }
  }
}

TEST_CASE("mirrored methods: kept instances are the items of largest change, a query's own image first among them") {
  for (const char* method : {"abu", "mucs"}) {
    CAPTURE(method);
    jobs::MirrorSpec spec = Study::spec(method);
    const std::vector<std::uint32_t> queries(study().data.train.begin(), study().data.train.begin() + 4);
    CHECK_FALSE(study().scores(spec, queries, study().groups).instances);
    spec.ascent.keep_instances = spec.mucs.keep_instances = 7;
    const MirrorScores kept = study().scores(spec, queries, study().groups);
    REQUIRE(kept.instances);
    CHECK(kept.instances->scores.sizes() == torch::IntArrayRef{4, 7});
    CHECK((kept.instances->scores.diff(1, 1) <= 0).all().item<bool>());
    // Groups of one item each: their scores are the items' changes.
    const std::vector<jobs::RemovalSet> items = study().singles(study().data.train.size());
    const MirrorScores all = study().scores(spec, queries, items);
    const auto rows = kept.instances->rows.accessor<std::int64_t, 2>();
    const auto scores = kept.instances->scores.accessor<double, 2>();
    int own = 0;
    for (std::int64_t q = 0; q < 4; ++q) {
      const auto begin = all.scores.begin() + q * static_cast<std::ptrdiff_t>(items.size());
      CHECK(scores[q][0] == doctest::Approx(*std::max_element(begin, begin + std::ssize(items))).epsilon(1e-9));
      for (std::int64_t i = 0; i < 7; ++i)
        own += kept.items[static_cast<std::size_t>(rows[q][i])] == queries[static_cast<std::size_t>(q)] ? 1 : 0;
    }
    CHECK(own >= 3);
  }
}

TEST_CASE("mirrored methods: a job that is handed back goes on behind its last whole query, to the same bits") {
  for (const std::string method : {"abu", "mucs"}) {
    jobs::MirrorSpec spec = Study::spec(method);
    spec.mucs.max_steps = 3;
    spec.ascent.keep_instances = spec.mucs.keep_instances = 4;
    spec.ascent.weights = "all";
    const std::vector<std::uint32_t> items{study().data.train.begin(), study().data.train.begin() + 3};
    const MirrorScores whole = study().scores(spec, items, study().groups);
    // Before the first query, in the middle of the second, just behind it, and behind the last, when rows are not safe
    // yet.
    for (const std::uint64_t stop : {0U, 1002U, 2000U, 3000U}) {
      CAPTURE(method);
      CAPTURE(stop);
      test::HandedBack job;
      CHECK_THROWS_AS((void)study().scores(spec, items, study().groups, study().data, job.until(stop), &job.attempt()),
                      Cancelled);
      const MirrorScores again =
          study().scores(spec, items, study().groups, study().data, test::no_progress, &job.attempt());
      CHECK(job.last().resumed_from() == stop / kMirrorParts * kMirrorParts);
      CHECK(again.scores == whole.scores);
      CHECK(again.standard_error == whole.standard_error);
      CHECK(again.mean_steps == whole.mean_steps);
      CHECK(again.mean_loss == whole.mean_loss);
      CHECK(torch::equal(again.instances->scores, whole.instances->scores));
      CHECK(torch::equal(again.instances->rows, whole.instances->rows));
      // A worker that dies before its rows are committed loses nothing of a job that was resumed.
      if (stop >= kMirrorParts) {
        (void)study().scores(spec, items, study().groups, study().data, test::no_progress, &job.attempt());
        CHECK(job.last().resumed_from() == 3 * kMirrorParts);
      }
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

TEST_CASE(
    "mirrored methods: a sample of a group's items estimates the group within its standard error (methods.md "
    "6.4)") {
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

TEST_CASE("mirrored methods: the order of groups orders the scores and nothing else (methods.md 7.5)") {
  Study& s = study();
  std::vector<jobs::RemovalSet> reversed(s.groups.rbegin(), s.groups.rend());
  for (const std::string method : {"abu", "mucs"}) {
    CAPTURE(method);
    jobs::MirrorSpec spec = Study::spec(method);
    spec.ascent.items = spec.mucs.items = 4;
    auto scores = s.scores(spec, {s.data.held_out[2]}, s.groups).scores;
    std::reverse(scores.begin(), scores.end());
    CHECK(scores == s.scores(spec, {s.data.held_out[2]}, reversed).scores);
  }
}

TEST_CASE("abu: without a step nothing changes, without attention layers nothing can move (methods.md 6.5.2)") {
  Study& s = study();
  jobs::MirrorSpec spec = Study::spec("abu");
  spec.ascent.lr = 1e-30;
  for (const double score : s.scores(spec, {s.data.held_out[0]}, s.groups).scores) CHECK(score == 0);
  spec.ascent.weights = "attention";
  CHECK_THROWS_WITH_AS((void)s.scores(spec, {s.data.held_out[0]}, s.groups), doctest::Contains("weights: all"), Error);
}

TEST_CASE("choi, abu: a small step's scores are lr g_q F^-1 g_i / N, gradients by autograd (methods.md 8)") {
  Study& s = study();
  jobs::MirrorSpec spec = Study::spec("choi");
  spec.ascent.damping = 0.5;
  const SeedPath seed(spec.seed);
  const jobs::NoiseSchedule schedule(spec.diffusion);
  const auto gradient = [&](const StepImages& rows) {
    const torch::Tensor loss =
        (predict_noise(s.model, Prediction::epsilon, schedule, rows, torch::kCPU) - rows.noise.flatten(1))
            .square()
            .mean();
    std::vector<torch::Tensor> flat;
    for (const auto& g : torch::autograd::grad({loss}, s.model->parameters())) flat.push_back(g.flatten());
    return std::pair{torch::cat(flat).to(torch::kFloat64), loss.item<double>()};
  };
  const auto noised = [&](StepImages rows, const torch::Tensor& images) {
    rows.x_t = add_noise(images, rows.noise, noise_levels(schedule, rows.timesteps));
    return rows;
  };
  // The documented draws of a query and of an item.
  const std::uint32_t item = s.data.held_out[0];
  const SeedPath own = seed / "query" / ("item " + std::to_string(item)) / "0";
  StepImages rows;
  rows.timesteps = draw_timesteps(own / "timesteps", 0, 64, 100, /*stratified=*/true);
  rows.noise = draw_noise(own / "noise", 0, {64, 1, 8, 8});
  const auto [query, loss] =
      gradient(noised(rows, gather_images(s.data, std::vector{item}).expand({64, 1, 8, 8}).contiguous()));
  const torch::Tensor fisher = s.fisher.to(torch::kFloat64);
  const torch::Tensor direction = query / (fisher + 0.5 * fisher.mean());
  // As long as raises the query's loss by a five-hundredth.
  const double length = 2e-3 * loss / query.dot(direction).item<double>();
  spec.ascent.lr = length * static_cast<double>(s.data.train.size());
  const auto scores = s.scores(spec, {item}, s.singles(8)).scores;
  std::vector<double> expected;
  for (std::size_t i = 0; i < 8; ++i) {
    StepImages five;
    five.timesteps = {0, 20, 40, 60, 80};
    five.noise = torch::empty({5, 1, 8, 8});
    for (std::size_t t = 0; t < 5; ++t)
      fill_normal((seed / "losses").value(), s.data.train[i], five.timesteps[t], 0,
                  {five.noise.data_ptr<float>() + t * 64, 64});
    const auto images = gather_images(s.data, std::vector{s.data.train[i]}).expand({5, 1, 8, 8}).contiguous();
    expected.push_back(length * gradient(noised(five, images)).first.dot(direction).item<double>());
  }
  double largest = 0;
  for (const double e : expected) largest = std::max(largest, std::abs(e));
  for (std::size_t i = 0; i < 8; ++i) CHECK(std::abs(scores[i] - expected[i]) < 0.05 * largest);
  CHECK(largest > 1e-5);  // so that the line above can fail
}

TEST_CASE("abu: on quadratic losses an undamped step of length 1 is Newton's, up the query's loss (methods.md 6.5.1)") {
  const torch::Tensor a = torch::tensor({0.5, 2.0, 3.0}, torch::kFloat64),
                      b = torch::tensor({1.0, -1.0, 0.2}, torch::kFloat64);
  const auto loss = [&](const torch::Tensor& theta) { return a * (theta - b).square() / 2; };
  for (std::int64_t q = 0; q < 3; ++q) {
    const torch::Tensor theta = torch::tensor(0.3, torch::kFloat64);
    const torch::Tensor moved = theta + fisher_direction(a[q] * (theta - b[q]), a[q], 0);
    // As far from the query's minimum again.
    CHECK(moved.item<double>() == doctest::Approx(2 * 0.3 - b[q].item<double>()).epsilon(1e-12));
    const torch::Tensor influence = loss(moved) - loss(theta);
    CHECK(influence[q].item<double>() == doctest::Approx(3 * loss(theta)[q].item<double>()).epsilon(1e-12));
  }
}

TEST_CASE(
    "abu: c times the loss is a step of 1/c, damping shortens it, a weight without gradients stays (methods.md "
    "6.5.4)") {
  torch::manual_seed(2);
  const torch::Tensor g = torch::randn({50}, torch::kFloat64), f = torch::rand({50}, torch::kFloat64) + 0.1;
  CHECK(torch::allclose(fisher_direction(7 * g, 49 * f, 49 * 0.2), fisher_direction(g, f, 0.2) / 7, 1e-12));
  CHECK(torch::allclose(fisher_direction(g, f, 0), g / f, 1e-12));
  CHECK((fisher_direction(g, f, 0.2).abs() < (g / f).abs()).all().item<bool>());
  CHECK(fisher_direction(torch::zeros({2}), torch::zeros({2}), 0).abs().max().item<double>() == 0);
}

TEST_CASE("abu: with flip an item's score is the larger one of the item's and its mirror image's (methods.md 6.1)") {
  Study& s = study();
  jobs::MirrorSpec spec = Study::spec("abu");
  jobs::Dataset mirrored = s.data;
  for (std::size_t row = 0; row < mirrored.pixels.size(); row += 8)
    std::reverse(mirrored.pixels.begin() + static_cast<std::ptrdiff_t>(row),
                 mirrored.pixels.begin() + static_cast<std::ptrdiff_t>(row + 8));
  const auto each = s.singles(12);
  const auto plain = s.scores(spec, {s.data.held_out[0]}, each).scores,
             turned = s.scores(spec, {s.data.held_out[0]}, each, mirrored).scores;
  spec.ascent.flip = true;
  const auto both = s.scores(spec, {s.data.held_out[0]}, each).scores;
  int from_mirror = 0;
  for (std::size_t i = 0; i < 12; ++i) {
    CHECK(both[i] == std::max(plain[i], turned[i]));
    from_mirror += turned[i] > plain[i];
  }
  CHECK((from_mirror > 0 && from_mirror < 12));
}

TEST_CASE(
    "mucs: unlearning stops once the query's clamped loss is within the tolerance of an untrained one (methods.md "
    "7.5)") {
  Study& s = study();
  jobs::MirrorSpec spec = Study::spec("mucs");
  spec.mucs.items = 1;
  spec.mucs.lr = 2e-2;
  spec.mucs.forget_weight = 2;
  spec.mucs.max_steps = 300;
  const MirrorScores stopped = s.scores(spec, {s.data.held_out[0]}, s.groups);
  CHECK(stopped.mean_steps > 0);
  CHECK(stopped.mean_steps < 300);
  CHECK(stopped.mean_loss >= 0.95);
  CHECK(stopped.mean_loss <= 1);
  spec.mucs.max_steps = 1;
  const MirrorScores cut = s.scores(spec, {s.data.held_out[0]}, s.groups);
  CHECK(cut.mean_steps == 1);
  CHECK(cut.mean_loss < 0.95);
}

TEST_CASE("skew: 0 for equal losses, near 1 for lost ones, and odd in the two models (methods.md 7.5)") {
  const torch::Tensor a = torch::tensor({{0.1, 0.2}, {0.3, 0.5}}, torch::kFloat64), b = 3 * a;
  CHECK(mean_skew(a, a, 1e-3).abs().max().item<double>() == 0);
  CHECK(mean_skew(a, 1e9 * a, 1e-3).min().item<double>() > 0.99);
  CHECK(torch::allclose(mean_skew(a, b, 1e-3), -mean_skew(b, a, 1e-3)));
  CHECK(torch::allclose(mean_skew(a, b, 0), torch::full({2}, 0.5, torch::kFloat64)));
}

TEST_CASE("skew timesteps lie where there is noise enough, evenly (methods.md 7.4)") {
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
