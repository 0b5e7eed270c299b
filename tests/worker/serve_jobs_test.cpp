// The real guda-worker at the end of a socket, as an agent has it: killed, stopped, tried again.
#include "worker/serve_jobs.hpp"

#include <doctest/doctest.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "cluster/agent/worker_process.hpp"
#include "common/cpu.hpp"
#include "common/error.hpp"
#include "common/files.hpp"
#include "common/gang_memory.hpp"
#include "tests/support/fake_plan.hpp"
#include "tests/support/scratch_folder.hpp"

using namespace guda;

namespace {

namespace fs = std::filesystem;

constexpr std::chrono::seconds kPatience(240);  // only a broken worker takes so long; nothing is measured by it

jobs::Plan plan_of(double lr, std::uint32_t gang) {
  jobs::Experiment e = test::small_experiment();
  e.model["dropout"] = 0.1;
  e.training.steps = 300;
  e.training.batch = 16;
  e.training.optimizer.lr = lr;
  e.methods[1].unlearn.steps = 200;
  e.resources.gang = gang;
  return jobs::make_plan(e, jobs::load_dataset(e.dataset), jobs::Numerics{"cpu", cpu_isa(), "float32", 1});
}

/// A run directory with a plan.
struct Run {
  test::ScratchFolder folder;
  jobs::Plan plan;
  explicit Run(double lr = 4e-3, std::uint32_t gang = 1) : plan(plan_of(lr, gang)) {
    for (const char* name : {"rows", "artifacts", "logs"}) fs::create_directories(folder / name);
    replace_file(folder / "plan.json", to_json(plan).dump(), false);
  }
  template <class Spec>
  [[nodiscard]] std::uint32_t first_job() const {
    for (std::uint32_t i = 0; i < plan.jobs.size(); ++i) {
      if (std::holds_alternative<Spec>(plan.jobs[i].work)) return i;
    }
    FAIL("the plan has no such job");
    return 0;
  }
  [[nodiscard]] fs::path artifact(std::uint32_t job) const { return folder / "artifacts" / plan.jobs[job].digest.hex; }
  [[nodiscard]] fs::path checkpoints(std::uint32_t job) const { return artifact(job).string() + ".checkpoints"; }
  [[nodiscard]] std::string log() const { return read_file(folder / "logs" / "worker.log"); }
  /// Finished checkpoints of a job, newest last.
  [[nodiscard]] std::vector<fs::path> saved(std::uint32_t job) const {
    std::vector<fs::path> files;
    std::error_code none;
    for (const auto& entry : fs::directory_iterator(checkpoints(job), none)) {
      if (entry.path().extension() == ".safetensors") files.push_back(entry.path());
    }
    std::sort(files.begin(), files.end());
    return files;
  }
};

class Worker {
 public:
  explicit Worker(const Run& run, const std::string& name, double checkpoint_every = 0.01)
      : process_({.program = fs::path(GUDA_BINARY_DIR) / "bin" / "guda-worker",
                  .run_folder = run.folder.path(),
                  .segment = name + ".seg",
                  .name = name,
                  .checkpoint_every = checkpoint_every,
                  .chaos = "",
                  .threads = 1,
                  .log = run.folder / "logs" / "worker.log",
                  .environment = {}}) {}

  void assign(Lease lease, const std::optional<GangSeat>& seat = std::nullopt) {
    REQUIRE(process_.send(message::Assign{lease, seat}));
  }
  void cancel(Lease lease) { REQUIRE(process_.send(message::Cancel{lease})); }
  void kill() { process_.signal(SIGKILL); }

  /// The next message that is a `T`; others are passed over.
  template <class T>
  T wait_for() {
    std::optional<T> found;
    until([&] {
      while (const auto message = process_.receive()) {
        if (const auto* wanted = std::get_if<T>(&*message)) {
          found = *wanted;
          return true;
        }
        if (const auto* failed = std::get_if<message::Failed>(&*message)) FAIL(failed->text);
      }
      return false;
    });
    return *found;
  }
  template <class Condition>
  void until(Condition&& condition) {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > deadline) FAIL("the worker does not get there");
      if (const auto end = process_.exit_text()) FAIL("the worker " << *end);
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }

 private:
  cluster::WorkerProcess process_;
};

/// An undisturbed run of both jobs, made once.
const Run& undisturbed() {
  static const Run run;
  static const bool done = [] {
    Worker worker(run, "calm", 0);
    for (const std::uint32_t job : {run.first_job<jobs::TrainSpec>(), run.first_job<jobs::UnlearnSpec>()}) {
      worker.assign({job, 1});
      const auto result = worker.wait_for<message::Done>();
      CHECK_FALSE(result.metrics.contains("resumed_from_step"));
    }
    return true;
  }();
  CHECK(done);
  return run;
}

void check_same_artifact(const Run& run, std::uint32_t job) {
  for (const char* file : {"diffusion_pytorch_model.safetensors", "config.json", "guda.json"}) {
    CAPTURE(file);
    CHECK(read_file(run.artifact(job) / file) == read_file(undisturbed().artifact(job) / file));
  }
  CHECK_FALSE(fs::exists(run.checkpoints(job)));
}

/// Kills worker after worker in the middle of the job, then lets one finish it.
message::Done finish_after_kills(const Run& run, std::uint32_t job, int kills) {
  std::uint32_t attempt = 0;
  for (int i = 0; i < kills; ++i) {
    Worker victim(run, "victim" + std::to_string(i));
    const auto before = run.saved(job);
    victim.assign({job, ++attempt});
    victim.until([&] { return run.saved(job).size() == 2 && run.saved(job) != before; });
    victim.kill();
  }
  Worker heir(run, "heir");
  heir.assign({job, ++attempt});
  return heir.wait_for<message::Done>();
}

}  // namespace

TEST_CASE("worker: jobs whose workers are killed again and again end with the very bytes of an undisturbed run") {
  const Run run;
  for (const std::uint32_t job : {run.first_job<jobs::TrainSpec>(), run.first_job<jobs::UnlearnSpec>()}) {
    const message::Done done = finish_after_kills(run, job, 2);
    CHECK(done.metrics.at("resumed_from_step") > 0);
    check_same_artifact(run, job);
  }
  CHECK(run.log().find("goes on from step ") != std::string::npos);
}

TEST_CASE("worker: two train one model; one is killed, the other hands back, and two more end with the same bytes") {
  const Run calm(4e-3, 2), run(4e-3, 2);
  const std::uint32_t job = run.first_job<jobs::TrainSpec>();
  std::uint32_t attempt = 0;
  const auto together = [&](Worker& root, Worker& other) {
    const std::string memory = gang_memory_name(run.folder.path(), 1, {job, ++attempt});
    root.assign({job, attempt}, GangSeat{memory, 0, 2});
    other.assign({job, attempt}, GangSeat{memory, 1, 2});
    return memory;
  };
  const auto gone = [](const std::string& memory) { return !fs::exists("/dev/shm/" + memory); };
  {
    Worker root(calm, "calm1", 0), other(calm, "calm2", 0);
    const std::string memory = together(root, other);
    CHECK_FALSE(root.wait_for<message::Done>().metrics.contains("resumed_from_step"));
    other.wait_for<message::Done>();
    CHECK(gone(memory));
  }
  for (const bool kill_root : {false, true}) {
    Worker root(run, "root"), other(run, "other");
    const auto before = run.saved(job);
    const std::string memory = together(root, other);
    root.until([&] { return run.saved(job).size() == 2 && run.saved(job) != before; });
    (kill_root ? root : other).kill();
    (kill_root ? other : root).wait_for<message::Returned>();
    CHECK(gone(memory));
  }
  {
    Worker root(run, "stopped1", 1000), other(run, "stopped2", 1000);  // no checkpoint of their own accord
    const std::string memory = together(root, other);
    static_cast<void>(root.wait_for<message::Beat>());
    other.cancel({job, attempt});
    root.cancel({job, attempt});
    root.wait_for<message::Returned>();
    other.wait_for<message::Returned>();
    remove_gang_memory(memory);  // as agents do: they may have been called away before both had come
  }
  Worker root(run, "heir1"), other(run, "heir2");
  together(root, other);
  CHECK(root.wait_for<message::Done>().metrics.at("resumed_from_step") > 0);
  other.wait_for<message::Done>();
  for (const char* file : {"diffusion_pytorch_model.safetensors", "guda.json"})
    CHECK(read_file(run.artifact(job) / file) == read_file(calm.artifact(job) / file));
  CHECK_FALSE(fs::exists(run.checkpoints(job)));
  CHECK(run.log().find("the gang is broken: the process of member ") != std::string::npos);
}

TEST_CASE("worker: a damaged checkpoint is named in the log and the one before it serves") {
  const Run run;
  const std::uint32_t job = run.first_job<jobs::TrainSpec>();
  {
    Worker victim(run, "victim");
    victim.assign({job, 1});
    victim.until([&] { return run.saved(job).size() == 2; });
    victim.kill();
  }
  const fs::path newest = run.saved(job).back();
  std::string bytes = read_file(newest);
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 4);
  std::ofstream(newest, std::ios::binary | std::ios::trunc) << bytes;
  Worker heir(run, "heir");
  heir.assign({job, 2});
  CHECK(heir.wait_for<message::Done>().metrics.contains("resumed_from_step"));
  CHECK(run.log().find(newest.filename().string() + " is set aside as *.damaged") != std::string::npos);
  check_same_artifact(run, job);
}

TEST_CASE("worker: a cancelled job is saved, handed back, and finished by another worker") {
  const Run run;
  const std::uint32_t job = run.first_job<jobs::TrainSpec>();
  Worker first(run, "first", 1000);  // no checkpoint of its own accord
  first.assign({job, 1});
  const auto beat = first.wait_for<message::Beat>();
  CHECK(beat.busy);
  CHECK(beat.checkpoint_in > 100);
  first.cancel({job, 1});
  CHECK(first.wait_for<message::Returned>().lease == Lease{job, 1});
  CHECK(run.saved(job).size() == 1);
  CHECK_FALSE(fs::exists(run.artifact(job)));
  Worker second(run, "second");
  second.assign({job, 2});
  const auto done = second.wait_for<message::Done>();
  CHECK(done.metrics.at("resumed_from_step") >= beat.step);
  CHECK(done.seconds >= done.metrics.at("seconds").get<double>());
  check_same_artifact(run, job);
  first.assign({job, 3});  // the first one is as good as new, and finds the work done
  CHECK(first.wait_for<message::Done>().metrics.at("already_published") == true);
}

TEST_CASE("worker: a job that diverges and a job whose input is missing are reported with their classes") {
  const Run run(1e30);
  Worker worker(run, "worker");
  worker.assign({run.first_job<jobs::TrainSpec>(), 1});
  const auto diverged = worker.wait_for<message::Failed>();
  CHECK(diverged.error == ErrorClass::divergence);
  CHECK(diverged.text.find(" at step ") != std::string::npos);
  worker.assign({run.first_job<jobs::UnlearnSpec>(), 1});
  CHECK(worker.wait_for<message::Failed>().error == ErrorClass::io);
}
