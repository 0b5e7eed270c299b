// A sweep of Score jobs over models in real guda-workers: kept, loaded ahead, read through the node cache; same rows.
#include <doctest/doctest.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "cluster/agent/worker_process.hpp"
#include "common/cpu.hpp"
#include "common/files.hpp"
#include "common/row_segment.hpp"
#include "tests/support/fake_plan.hpp"
#include "tests/support/scratch_folder.hpp"

using namespace guda;

namespace {

namespace fs = std::filesystem;

constexpr std::uint32_t kModels = 5;

struct Sweep {
  test::ScratchFolder folder;
  jobs::Plan plan;
  std::vector<std::uint32_t> first, scores;  // what comes before; Score jobs, every model before any second block

  explicit Sweep(const jobs::ResourcesConfig& resources) {
    jobs::Experiment e = test::small_experiment();
    e.resources = resources;
    e.model["dropout"] = 0.1;  // training draws from the generator that a model is built with
    plan = jobs::make_plan(e, jobs::load_dataset(e.dataset), jobs::Numerics{"cpu", cpu_isa(), "float32", 1});
    for (const char* name : {"rows", "artifacts", "logs"}) fs::create_directories(folder / name);
    replace_file(folder / "plan.json", to_json(plan).dump(), false);
    std::map<std::uint32_t, std::vector<std::uint32_t>> by_block;
    std::vector<Digest> models;
    for (std::uint32_t i = 0; i < plan.jobs.size(); ++i) {
      if (const auto* train = std::get_if<jobs::TrainSpec>(&plan.jobs[i].work); train && models.size() < kModels) {
        models.push_back(plan.jobs[i].digest);
        first.push_back(i);
      }
      if (std::holds_alternative<jobs::SampleSpec>(plan.jobs[i].work)) first.push_back(i);
      const auto* score = std::get_if<jobs::ScoreSpec>(&plan.jobs[i].work);
      if (score && std::find(models.begin(), models.end(), score->weights) != models.end())
        by_block[score->first].push_back(i);
    }
    for (const auto& [block, jobs] : by_block) scores.insert(scores.end(), jobs.begin(), jobs.end());
  }
  void take_artifacts(const Sweep& other) {
    fs::copy(other.folder / "artifacts", folder / "artifacts", fs::copy_options::recursive);
  }
  /// How often the weights change from one job to the next.
  [[nodiscard]] std::size_t switches() const {
    std::size_t count = 1;
    for (std::size_t i = 1; i < scores.size(); ++i) count += weights(i) != weights(i - 1) ? 1 : 0;
    return count;
  }
  [[nodiscard]] Digest weights(std::size_t i) const {
    return std::get<jobs::ScoreSpec>(plan.jobs[scores[i]].work).weights;
  }
  [[nodiscard]] std::string log() const { return read_file(folder / "logs" / "worker.log"); }
};

struct Worker {
  cluster::WorkerProcess process;
  std::uint32_t attempt = 0;

  explicit Worker(const Sweep& sweep, const std::string& name = "1")
      : process({.program = fs::path(GUDA_BINARY_DIR) / "bin" / "guda-worker",
                 .run_folder = sweep.folder.path(),
                 .segment = name + ".seg",
                 .name = name,
                 .log = sweep.folder / "logs" / "worker.log"}) {}

  Message answer(std::uint32_t job, std::optional<std::uint32_t> next = std::nullopt) {
    REQUIRE(process.send(message::Assign{{job, ++attempt}, std::nullopt, next}));
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(120);
    while (std::chrono::steady_clock::now() < deadline) {
      while (const auto message = process.receive()) {
        if (std::holds_alternative<message::Done>(*message) || std::holds_alternative<message::Failed>(*message))
          return *message;
      }
      if (const auto end = process.exit_text()) FAIL("the worker " << *end);
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    FAIL("no answer");
    return message::Ready{};
  }
  message::Done done(std::uint32_t job, std::optional<std::uint32_t> next = std::nullopt) {
    const Message message = answer(job, next);
    if (const auto* failed = std::get_if<message::Failed>(&message)) FAIL(failed->text);
    return std::get<message::Done>(message);
  }
};

struct Outcome {
  std::vector<float> rows;
  std::uint64_t loaded = 0, prefetched = 0, resident = 0, read = 0, found = 0;

  void add(const Sweep& sweep, const message::Done& done) {
    const Json& m = done.metrics;
    loaded += m.value("weights_loaded", 0U);
    prefetched += m.value("weights_prefetched", 0U);
    resident += m.value("weights_resident", 0U);
    if (m.contains("node_cache")) {
      read += m["node_cache"]["read_bytes"].get<std::uint64_t>();
      found += m["node_cache"]["found_bytes"].get<std::uint64_t>();
    }
    CHECK(m.at("peak_memory_bytes") > 10'000'000);
    CHECK(m.dump().size() < 1024);
    const RowRecord record = read_row_record(sweep.folder / "rows", done.rows);
    rows.insert(rows.end(), record.losses.begin(), record.losses.end());
  }
};

Outcome score_all(const Sweep& sweep, bool hints) {
  Worker worker(sweep);
  Outcome outcome;
  for (std::size_t i = 0; i < sweep.scores.size(); ++i) {
    const bool more = hints && i + 1 < sweep.scores.size();
    outcome.add(sweep, worker.done(sweep.scores[i], more ? std::optional(sweep.scores[i + 1]) : std::nullopt));
  }
  return outcome;
}

/// Trained once; each model scored anew for every block.
struct Plain {
  Sweep sweep{[] {
    jobs::ResourcesConfig one_at_a_time;
    one_at_a_time.model_memory_gb = 1e-9;
    return one_at_a_time;
  }()};
  Outcome outcome;
  Plain() {
    {
      Worker worker(sweep);
      for (const std::uint32_t job : sweep.first) (void)worker.done(job);
    }
    outcome = score_all(sweep, false);
  }
};
const Plain& plain() {
  static const Plain once;
  return once;
}

}  // namespace

TEST_CASE("sweep: models that fit are loaded once, most of them ahead, and the rows have the same bits") {
  REQUIRE(plain().sweep.switches() == 2 * kModels);  // every model, then every model again
  CHECK(plain().outcome.loaded == 2 * kModels);
  Sweep sweep{jobs::ResourcesConfig{}};
  sweep.take_artifacts(plain().sweep);
  const Outcome kept = score_all(sweep, true);
  CHECK(kept.loaded == 1);
  CHECK(kept.prefetched == kModels - 1);
  CHECK(kept.resident == sweep.scores.size() - kModels);
  CHECK(kept.rows == plain().outcome.rows);
}

TEST_CASE("sweep: of two workers with a node cache the second reads nothing from the run directory") {
  const test::ScratchFolder node;
  jobs::ResourcesConfig resources;
  resources.node_cache = node.path().string();
  Sweep sweep{resources};
  sweep.take_artifacts(plain().sweep);
  const Outcome first = score_all(sweep, true), second = score_all(sweep, false);
  CHECK(first.read > 10'000);
  CHECK(second.read == 0);
  CHECK(second.found >= first.read);
  CHECK(first.rows == plain().outcome.rows);
  CHECK(second.rows == plain().outcome.rows);
  CHECK(sweep.log().find("GB/s") != std::string::npos);
}

TEST_CASE("sweep: weights that changed in the run directory are an i/o error, not a score") {
  const test::ScratchFolder node;
  jobs::ResourcesConfig resources;
  resources.node_cache = node.path().string();
  Sweep sweep{resources};
  sweep.take_artifacts(plain().sweep);
  const auto& score = std::get<jobs::ScoreSpec>(sweep.plan.jobs[sweep.scores.front()].work);
  const fs::path weights = sweep.folder / "artifacts" / score.weights.hex / "diffusion_pytorch_model.safetensors";
  std::string bytes = read_file(weights);
  bytes[bytes.size() - 3] ^= 1;  // a number, where no parser would notice
  replace_file(weights, bytes, false);
  Worker worker(sweep);
  const Message message = worker.answer(sweep.scores.front());
  const auto* failed = std::get_if<message::Failed>(&message);
  REQUIRE(failed != nullptr);
  CHECK(failed->error == ErrorClass::io);
  CHECK(failed->text.find("has other content than when it was published") != std::string::npos);
  CHECK(std::holds_alternative<message::Done>(worker.answer(sweep.scores.back())));  // another model
}

TEST_CASE("sweep: a job that turns up instead of the expected one has the bits that it always has") {
  Sweep sweep{jobs::ResourcesConfig{}};
  sweep.take_artifacts(plain().sweep);
  Worker worker(sweep);
  (void)worker.done(sweep.scores.front(), sweep.scores.back());
  const std::uint32_t train = sweep.first.front();
  const fs::path artifact = sweep.folder / "artifacts" / sweep.plan.jobs[train].digest.hex;
  const std::string before = read_file(artifact / "diffusion_pytorch_model.safetensors");
  fs::remove_all(artifact);
  (void)worker.done(train);
  CHECK(read_file(artifact / "diffusion_pytorch_model.safetensors") == before);
}
