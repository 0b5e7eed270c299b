#include "worker/training/job_checkpoints.hpp"

#include <doctest/doctest.h>
#include <torch/torch.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "common/files.hpp"
#include "tests/support/scratch_folder.hpp"

using namespace guda;
using namespace guda::worker;

namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kSteps = 40;
const Digest kJob = digest_of("job");

struct Killed {};  // stands for SIGKILL: nothing of the job runs after it

/// A job whose state is one number and torch's generator, tried again and again. A second of its clock is a step.
struct Bench {
  test::ScratchFolder folder;
  fs::path checkpoints = folder / "job.checkpoints";
  double time = 0;
  double write_takes = 0;  ///< s of the clock
  CheckpointRule rule{.every = 5};
  bool beside = false;
  std::vector<std::string> log;
  std::vector<double> promised;  ///< checkpoint_in of every step

  struct Outcome {
    double value = 0;
    std::uint64_t resumed_from = 0, saved = 0, last_step = 0;
    double earlier = 0;
  };

  JobCheckpoints open() {
    return JobCheckpoints({checkpoints, kJob, rule, "node1/cpu1", [this] { return time; },
                           [this](const std::string& line) { log.push_back(line); }, beside});
  }
  /// Runs until step `kill_at` ("SIGKILL") or `stop_at` (Cancelled), else to the end.
  Outcome attempt(std::uint64_t kill_at = 0, std::uint64_t stop_at = 0, bool keep = true) {
    torch::manual_seed(5);
    const torch::Tensor x = torch::zeros({1}, torch::kFloat64);
    JobCheckpoints job = open();
    Outcome outcome;
    const std::uint64_t first = job.resume({{"x", x}}, kSteps, torch::kCPU);
    outcome.resumed_from = job.resumed_from();
    outcome.earlier = job.earlier_seconds();
    CHECK(first == outcome.resumed_from);
    try {
      for (std::uint64_t step = first; step < kSteps; ++step) {
        x.mul_(0.99).add_(torch::rand({1}, torch::kFloat64));
        time += 1;
        outcome.last_step = step + 1;
        job.finished_step({step + 1, kSteps, 0}, [&](const Progress& p) {
          promised.push_back(p.checkpoint_in);
          if (p.step == stop_at) throw Cancelled{};
          if (p.step == kill_at) throw Killed{};
        });
      }
      if (!keep) job.remove();
    } catch (const Killed&) {
    } catch (const Cancelled&) {
    }
    outcome.value = x.item<double>();
    outcome.saved = job.saved();
    return outcome;
  }
  [[nodiscard]] std::vector<std::string> files() const {
    std::vector<std::string> names;
    if (fs::exists(checkpoints)) {
      for (const auto& entry : fs::directory_iterator(checkpoints)) names.push_back(entry.path().filename().string());
    }
    std::sort(names.begin(), names.end());
    return names;
  }
  [[nodiscard]] bool logged(const std::string& part) const {
    return std::any_of(log.begin(), log.end(),
                       [&](const std::string& line) { return line.find(part) != std::string::npos; });
  }
};

double undisturbed() { return Bench().attempt().value; }

void flip_a_byte(const fs::path& file) {
  std::string bytes = read_file(file);
  bytes[bytes.size() - 3] = static_cast<char>(bytes[bytes.size() - 3] ^ 1);
  std::ofstream(file, std::ios::binary | std::ios::trunc) << bytes;
}

}  // namespace

TEST_CASE(
    "job checkpoints: written beside the loop they hold the step's state, and a job that is handed back has its last "
    "one") {
  const double expected = undisturbed();
  Bench bench;
  bench.beside = true;
  const auto killed = bench.attempt(17);
  CHECK(killed.value != expected);
  const auto stopped = bench.attempt(0, 29);
  CHECK(stopped.resumed_from > 0);
  CHECK(stopped.resumed_from <= 17);
  const auto last = bench.attempt(0, 0, /*keep=*/false);
  CHECK(last.resumed_from == 29);
  CHECK(last.value == expected);
  CHECK(last.saved > 0);
  CHECK(bench.files().empty());
}

TEST_CASE("job checkpoints: a killed job goes on from its last checkpoint and ends with the same bits") {
  const double expected = undisturbed();
  for (const std::uint64_t kill_at : {1U, 7U, 20U, 39U}) {
    CAPTURE(kill_at);
    Bench bench;
    CHECK(bench.attempt(kill_at).value != expected);
    const auto again = bench.attempt();
    CHECK(again.value == expected);
    CHECK(again.resumed_from <= kill_at);
    CHECK(again.resumed_from + 6 >= kill_at);  // 5 s with a jitter of a fifth, 1 s a step
  }
}

TEST_CASE("job checkpoints: a planned stop saves the very step, again and again, and never counts as a try") {
  Bench bench;
  for (std::uint64_t stop = 1; stop < kSteps; ++stop) {
    const auto outcome = bench.attempt(0, stop);
    CHECK(outcome.resumed_from == stop - 1);
    CHECK(outcome.last_step == stop);
  }
  CHECK(bench.attempt().value == undisturbed());
}

TEST_CASE(
    "job checkpoints: two are kept, nothing is saved after the last step, and all go when the artifact is there") {
  Bench bench;
  const auto outcome = bench.attempt();
  CHECK(outcome.saved >= 6);
  CHECK(bench.files().size() == kCheckpointsKept);
  CHECK(bench.files().back() < "step-00000040");
  bench.attempt(0, 0, /*keep=*/false);
  CHECK_FALSE(fs::exists(bench.checkpoints));
}

TEST_CASE("job checkpoints: the seconds of earlier attempts are carried along") {
  Bench bench;
  (void)bench.attempt(0, 10);
  bench.time += 1000;  // waited for a worker
  CHECK(bench.attempt(0, 25).earlier == 10);
  CHECK(bench.attempt().earlier == 25);
}

TEST_CASE("job checkpoints: a damaged one is set aside with a log line and the one before it is used") {
  const double expected = undisturbed();
  Bench bench;
  (void)bench.attempt(30);
  const auto before = bench.files();
  REQUIRE(before.size() == 2);
  flip_a_byte(bench.checkpoints / before[1]);
  const auto again = bench.attempt(32);
  const std::string digits = std::to_string(again.resumed_from);
  CHECK("step-" + std::string(8 - digits.size(), '0') + digits + ".safetensors" == before[0]);
  CHECK(bench.logged("is set aside as *.damaged"));
  CHECK(fs::exists(bench.checkpoints / (before[1] + ".damaged")));
  CHECK(bench.attempt().value == expected);
}

TEST_CASE("job checkpoints: with all of them damaged the job begins anew") {
  Bench bench;
  (void)bench.attempt(30);
  for (const std::string& name : bench.files()) flip_a_byte(bench.checkpoints / name);
  const auto again = bench.attempt();
  CHECK(again.resumed_from == 0);
  CHECK(again.value == undisturbed());
}

TEST_CASE("job checkpoints: one that two attempts began from without reaching the next is discarded") {
  Bench bench;
  bench.rule.every = 10;
  (void)bench.attempt(27);
  const auto two = bench.files();
  REQUIRE(two.size() == 2);
  bench.rule.every = 100;  // killed before the next one from here on
  const std::uint64_t newest = bench.attempt(28).resumed_from;
  CHECK(bench.attempt(28).resumed_from == newest);
  const std::uint64_t older = bench.attempt(28).resumed_from;
  CHECK(older > 0);
  CHECK(older < newest);
  CHECK(bench.logged("is discarded: 2 attempts began from it"));
  CHECK_FALSE(fs::exists(bench.checkpoints / two[1]));
  CHECK(bench.attempt(28).resumed_from == older);
  CHECK(bench.attempt(28).resumed_from == 0);
  CHECK(bench.attempt().value == undisturbed());
}

TEST_CASE("job checkpoints: tries are on disk before the loop begins, so a crash at once counts") {
  Bench bench;
  bench.rule.every = 100;
  (void)bench.attempt(0, 10);
  torch::Tensor x = torch::zeros({1}, torch::kFloat64);
  for (const std::uint64_t expected : {10U, 10U, 0U}) {
    JobCheckpoints job = bench.open();
    CHECK(job.resume({{"x", x}}, kSteps, torch::kCPU) == expected);
  }
}

TEST_CASE("job checkpoints: a checkpoint that can't be written costs the job nothing but the checkpoint") {
  Bench bench;
  std::ofstream(bench.checkpoints) << "a file where the folder should be";
  const auto outcome = bench.attempt();
  CHECK(outcome.saved == 0);
  CHECK(outcome.value == undisturbed());
  CHECK(bench.logged("no checkpoint at step"));
  (void)bench.attempt(0, 12);
  CHECK(bench.attempt().resumed_from == 0);
}

TEST_CASE("job checkpoints: a planned stop that can't save does not count as a try either") {
  Bench bench;
  (void)bench.attempt(0, 10);
  fs::create_directories(bench.checkpoints / "step-00000011.safetensors");  // in the way of the next one
  for (int i = 0; i < 4; ++i) CHECK(bench.attempt(0, 11).resumed_from == 10);
  CHECK(bench.attempt().value == undisturbed());
}

TEST_CASE("job checkpoints: what killed writers left is cleared away, other files are left alone") {
  Bench bench;
  fs::create_directories(bench.checkpoints);
  std::ofstream(bench.checkpoints / "step-00000099.safetensors.4711.partial") << "half";
  std::ofstream(bench.checkpoints / "step-0x.safetensors") << "not ours";
  std::ofstream(bench.checkpoints / "step-5.safetensors") << "not ours";
  CHECK(bench.attempt(20).resumed_from == 0);
  CHECK_FALSE(fs::exists(bench.checkpoints / "step-00000099.safetensors.4711.partial"));
  CHECK(fs::exists(bench.checkpoints / "step-5.safetensors"));
  CHECK(bench.attempt().value == undisturbed());
}

TEST_CASE("job checkpoints: every step promises when the next checkpoint comes") {
  Bench bench;
  (void)bench.attempt();
  CHECK(bench.promised.size() == kSteps);
  bench.promised.pop_back();  // after the last step none is due
  for (const double seconds : bench.promised) {
    CHECK(seconds > 0);
    CHECK(seconds < 6);
  }
}
