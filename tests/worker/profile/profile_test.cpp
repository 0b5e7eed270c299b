#include "worker/profile/profile.hpp"

#include <doctest/doctest.h>
#include <torch/torch.h>

#include <algorithm>
#include <chrono>
#include <filesystem>

#include "common/error.hpp"
#include "jobs/experiment_file.hpp"
#include "worker/profile/recorder.hpp"
#include "worker/profile/span.hpp"

using namespace guda;
using namespace guda::worker;

namespace {

jobs::Experiment tiny_experiment() {
  return jobs::load_experiment(std::filesystem::path(GUDA_SOURCE_DIR) / "jobs/recipes/digits-smoke.yaml",
                               {"training.batch=16", "model.block_out_channels=[8, 8]", "scoring.batch=4"});
}

std::uint64_t calls(const std::vector<Cost>& costs, const std::string& beginning) {
  std::uint64_t sum = 0;
  for (const Cost& cost : costs) sum += cost.name.starts_with(beginning) ? cost.calls : 0;
  return sum;
}

}  // namespace

TEST_CASE("profile: a training step consists of forward, backward, optimizer and average, and is covered") {
  at::set_num_threads(1);
  const Profile profile = profile_job(tiny_experiment(), {"train", 3});
  CHECK(profile.steps == 3);
  CHECK(calls(profile.costs, "guda::adamw") == 3);
  CHECK(calls(profile.costs, "guda::ema") == 3);
  CHECK(calls(profile.costs, "guda::noise") == 3);
  CHECK(calls(profile.costs, "guda::gather_images") == 3);
  const std::uint64_t forward = calls(profile.costs, "guda::conv_forward");
  CHECK(forward > 30);
  CHECK(calls(profile.costs, "guda::conv_backward_weight") == forward);
  CHECK(calls(profile.costs, "guda::group_norm_forward") == calls(profile.costs, "guda::group_norm_backward"));
  CHECK(profile.peak_bytes > 16 * 64 * 8 * 4);  // one activation of a batch of 16
  CHECK(profile.plain_step > 0);
  CHECK(profile.recorded_step > 0);
  double covered = 0;
  for (const Cost& cost : profile.costs) covered += cost.own;
  CHECK(covered > 0.5 * profile.recorded_step * 3);
  CHECK(covered < 1.02 * profile.recorded_step * 3);
  const std::string text = report(profile);
  CHECK(std::count(text.begin(), text.end(), '\n') == 13);  // title, heads, ten costs, the others
  CHECK(to_json(profile).at("costs").size() == profile.costs.size() + 1);
}

TEST_CASE("profile: unlearning steps look neighbours up, scoring batches run forwards only") {
  at::set_num_threads(1);
  const Profile unlearn = profile_job(tiny_experiment(), {"unlearn", 2});
  CHECK(calls(unlearn.costs, "guda::neighbour_differences") == 2);
  CHECK(calls(unlearn.costs, "guda::noise") == 4);  // of the retain and of the forget images
  const Profile score = profile_job(tiny_experiment(), {"score", 2});
  CHECK(calls(score.costs, "guda::conv_forward") > 0);
  CHECK(calls(score.costs, "guda::conv_backward") == 0);
  CHECK(calls(score.costs, "guda::adamw") == 0);
}

TEST_CASE("profile: what cannot be profiled is said") {
  CHECK_THROWS_AS((void)profile_job(tiny_experiment(), {"sample", 2}), Error);
  CHECK_THROWS_AS((void)profile_job(tiny_experiment(), {"train", 0}), Error);
  CHECK_THROWS_AS((void)profile_job(tiny_experiment(), {"score", 100000}), Error);
  CHECK_THROWS_AS((void)profile_command({}), Error);
  CHECK_THROWS_AS((void)profile_command({"a.yaml", "b.yaml"}), Error);
  CHECK_THROWS_AS((void)profile_command({"a.yaml", "--steps", "many"}), Error);
  CHECK_THROWS_AS((void)profile_command({"a.yaml", "--stesp", "3"}), Error);
}

TEST_CASE("recorder: operations, backward nodes and our own spans are recorded, before and after nothing is") {
  at::set_num_threads(1);
  const torch::Tensor before = torch::ones({4}, torch::requires_grad());
  bool named = false;
  const auto work = [&] {
    const ProfileSpan span([&] {
      named = true;
      return "ours";
    });
    (before * before).sum().backward();
  };
  work();
  CHECK_FALSE(named);
  SpanRecorder recorder;
  CHECK_THROWS_AS(SpanRecorder{}, Bug);
  work();
  const std::vector<Cost> costs = costs_of(recorder.stop());
  CHECK(named);
  work();
  CHECK(calls(costs, "ours") == 1);
  CHECK(calls(costs, "aten::sum") >= 1);
  CHECK(calls(costs, "autograd::engine::evaluate_function: MulBackward0") == 1);
  SpanRecorder again;
  CHECK(again.stop().empty());
}

TEST_CASE("recorder: a span that nobody records costs next to nothing") {
  constexpr int kSpans = 100000;
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < kSpans; ++i) const ProfileSpan span("unrecorded");
  const double each = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() / kSpans;
  CHECK(each < 2e-6);  // about 30 ns; a training step of the digits has a hundred spans and takes ten milliseconds
}
