#include "cluster/agent/agent.hpp"

#include <doctest/doctest.h>
#include <sys/types.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <optional>
#include <thread>

#include "common/gang_memory.hpp"
#include "tests/support/loopback.hpp"
#include "tests/support/scratch_folder.hpp"

namespace guda::cluster {
namespace {

using namespace std::chrono_literals;

/// An agent with a fake worker in a thread; the test is its coordinator. Time limits are only how long a hang would
/// last.
class Bench {
 public:
  explicit Bench(const std::string& segment = "0001-1.seg", const std::string& chaos = "",
                 const std::string& objection = "") {
    config_.objection = objection;
    config_.worker.program = std::string(GUDA_BINARY_DIR) + "/bin/guda_fake_worker";
    config_.worker.run_folder = scratch_.path();
    config_.worker.segment = segment;
    config_.worker.log = scratch_.path() / "log";
    config_.token = "token";
    config_.device = "node/cpu1";
    config_.beat_every = 0.05;
    config_.frozen_after = 0.5;
    config_.cancel_grace = 0.3;
    config_.chaos = parse_chaos(chaos);
    config_.labels.assign(10, "a job");
    agent_ = std::jthread([this] { static_cast<void>(run_agent(agent_end_, config_, terminate)); });
  }
  ~Bench() { send(message::Dismiss{}); }

  void send(const Message& m) { coordinator_.send(1, encode(m)); }

  /// Waits for a message of this kind; others are dropped. Keeps the agent company as a coordinator does.
  template <class T>
  std::optional<T> wait_for() {
    const auto until = std::chrono::steady_clock::now() + 60s;
    while (std::chrono::steady_clock::now() < until) {
      if (const auto e = coordinator_.receive()) {
        const Message m = decode(e->bytes);
        if (const auto* beat = std::get_if<message::Beat>(&m)) loudest_quiet = std::max(loudest_quiet, beat->quiet);
        if (const auto* wanted = std::get_if<T>(&m)) return *wanted;
      } else {
        std::this_thread::sleep_for(1ms);
      }
    }
    return std::nullopt;
  }
  /// A healthy job goes through: the worker has been replaced.
  bool works() {
    send(message::Assign{{0, 9}});
    const auto done = wait_for<message::Done>();
    return done && done->lease == Lease{0, 9};
  }

  [[nodiscard]] bool has_log() const { return std::filesystem::exists(config_.worker.log); }

  double loudest_quiet = 0;
  std::atomic<int> terminate = 0;

 private:
  test::ScratchFolder scratch_;
  test::LoopbackNetwork network_{2};
  test::LoopbackNetwork::Endpoint coordinator_{network_, 0}, agent_end_{network_, 1};
  AgentConfig config_;
  std::jthread agent_;
};

}  // namespace

TEST_CASE("agent: says hello, passes a job down and its result up") {
  Bench b;
  const auto hello = b.wait_for<message::Hello>();
  REQUIRE(hello);
  CHECK(hello->device == "node/cpu1");
  CHECK(b.works());
}

TEST_CASE("agent: a worker that crashes is named with its signal, blamed on the job, and replaced") {
  Bench b;
  b.send(message::Assign{{1, 1}});
  const auto failed = b.wait_for<message::Failed>();
  REQUIRE(failed);
  CHECK(failed->lease == Lease{1, 1});
  CHECK(failed->error == ErrorClass::crash);
  CHECK(failed->text.find("Segmentation fault") != std::string::npos);
  CHECK(b.works());
}

TEST_CASE("agent: a kill without an out-of-memory count is a crash, not want of memory") {
  Bench b;
  b.send(message::Assign{{5, 1}});
  const auto failed = b.wait_for<message::Failed>();
  REQUIRE(failed);
  CHECK(failed->error == ErrorClass::crash);
}

TEST_CASE("agent: a frozen worker shows in the heartbeat, is replaced, and its job reported") {
  for (const std::uint32_t job : {2U, 6U}) {  // stopped by a signal; waiting for ever
    Bench b;
    b.send(message::Assign{{job, 1}});
    const auto failed = b.wait_for<message::Failed>();
    REQUIRE(failed);
    CHECK(failed->text.find("frozen") != std::string::npos);
    CHECK(b.loudest_quiet > 0.2);
    CHECK(b.works());
  }
}

TEST_CASE("agent: a worker that computes without a word is not frozen; a restart ends it") {
  Bench b;
  b.send(message::Assign{{7, 1}});
  for (int beats = 0; beats < 40; ++beats) REQUIRE(b.wait_for<message::Beat>());  // four times the limit
  CHECK(b.loudest_quiet < 0.5);
  b.send(message::Restart{});
  CHECK(b.works());
}

TEST_CASE("agent: a worker with a sticky device error fails whatever comes next, until a restart replaces it") {
  Bench b;
  for (const std::uint32_t job : {8U, 0U}) {
    b.send(message::Assign{{job, 1}});
    const auto failed = b.wait_for<message::Failed>();
    REQUIRE(failed);
    CHECK(failed->lease == Lease{job, 1});
    CHECK(failed->error == ErrorClass::device);
  }
  // What the scheduler says to such a failure, and at once the next job.
  b.send(message::Restart{});
  CHECK(b.works());
}

TEST_CASE("agent: a cancelled job is handed back by the worker, or, when that is deaf, after its grace") {
  for (const std::uint32_t job : {3U, 4U}) {
    Bench b;
    b.send(message::Assign{{job, 1}});
    while (true) {
      const auto beat = b.wait_for<message::Beat>();
      REQUIRE(beat);
      if (beat->busy && beat->step > 0) break;
    }
    b.send(message::Cancel{{job, 1}});
    const auto returned = b.wait_for<message::Returned>();
    REQUIRE(returned);
    CHECK(returned->lease == Lease{job, 1});
    CHECK(b.works());
  }
}

TEST_CASE("agent: a worker that never starts makes its agent leave, with the reason, and blames no job") {
  Bench b("no-start.seg");
  b.send(message::Assign{{0, 1}});
  CHECK(b.wait_for<message::Returned>());
  const auto leaving = b.wait_for<message::Leaving>();
  REQUIRE(leaving);
  CHECK(leaving->text.find("exited with 2") != std::string::npos);
}

TEST_CASE("agent: told to end, it says so") {
  Bench b;
  REQUIRE(b.wait_for<message::Hello>());
  b.terminate = 1;
  CHECK(b.wait_for<message::Leaving>());
}

TEST_CASE("agent: chaos fails and crashes named jobs, and nothing else") {
  Bench crash("0001-1.seg", "crash=a job");
  crash.send(message::Assign{{3, 1}});
  const auto crashed = crash.wait_for<message::Failed>();
  REQUIRE(crashed);
  CHECK(crashed->text.find("Segmentation fault") != std::string::npos);
  Bench nan("0001-1.seg", "nan=a job@cpu1");
  nan.send(message::Assign{{3, 1}});
  const auto diverged = nan.wait_for<message::Failed>();
  REQUIRE(diverged);
  CHECK(diverged->error == ErrorClass::divergence);
  Bench spared("0001-1.seg", "crash=another,nan=a job@cpu2");
  CHECK(spared.works());
}

TEST_CASE(
    "agent: leases that come ahead are worked off in order; one that is cancelled before it began comes back at once") {
  Bench b;
  b.send(message::Assign{{3, 1}});  // works on until cancelled
  b.send(message::Assign{{0, 2}});
  b.send(message::Assign{{0, 3}});
  b.send(message::Cancel{{0, 2}});
  const auto returned = b.wait_for<message::Returned>();
  REQUIRE(returned);
  CHECK(returned->lease == Lease{0, 2});
  b.send(message::Cancel{{3, 1}});
  REQUIRE(b.wait_for<message::Returned>());
  const auto done = b.wait_for<message::Done>();
  REQUIRE(done);
  CHECK(done->lease == Lease{0, 3});
}

TEST_CASE(
    "agent: a worker's place in a gang goes down with its lease; memory that was not met in is removed at its end") {
  Bench b;
  const std::string run = "/agent_test/" + std::to_string(::getpid());
  const std::string name = gang_memory_name(run, 1, {9, 1}), other = gang_memory_name(run, 1, {9, 2});
  for (const std::string& n : {name, other}) std::ofstream("/dev/shm/" + n) << "left by a worker that was killed";
  b.send(message::Assign{{9, 1}, GangSeat{name, 1, 2}});  // reports its place, then dies
  const auto failed = b.wait_for<message::Failed>();
  REQUIRE(failed);
  CHECK(failed->text == name + " 1 2");
  CHECK(b.works());
  CHECK_FALSE(std::filesystem::exists("/dev/shm/" + name));
  CHECK(std::filesystem::exists("/dev/shm/" + other));
  remove_gang_memory(other);
}

TEST_CASE("agent: a crash is blamed on the job at work; the next one is done by the new worker") {
  Bench b;
  b.send(message::Assign{{1, 1}});
  b.send(message::Assign{{0, 2}});
  const auto failed = b.wait_for<message::Failed>();
  REQUIRE(failed);
  CHECK(failed->lease == Lease{1, 1});
  const auto done = b.wait_for<message::Done>();
  REQUIRE(done);
  CHECK(done->lease == Lease{0, 2});
}

TEST_CASE(
    "agent: a processor with another instruction set than the plan's leaves with the cure, and starts no worker") {
  CHECK(isa_objection("avx2", "avx2").empty());
  CHECK(isa_objection("", "avx2").empty());
  const std::string objection = isa_objection("avx512", "avx2");
  CHECK(objection.find("avx2, the plan is for avx512") != std::string::npos);
  CHECK(objection.find("Cure:") != std::string::npos);
  Bench b("0001-1.seg", "", objection);
  REQUIRE(b.wait_for<message::Hello>());
  const auto leaving = b.wait_for<message::Leaving>();
  REQUIRE(leaving);
  CHECK(leaving->text == objection);
  CHECK_FALSE(b.has_log());
}

}  // namespace guda::cluster
