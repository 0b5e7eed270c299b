#include "orchestrator/serve.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <map>
#include <set>
#include <thread>

#include "common/row_segment.hpp"
#include "orchestrator/control.hpp"
#include "orchestrator/prepare_run.hpp"
#include "orchestrator/run_status.hpp"
#include "orchestrator/run_store.hpp"
#include "tests/support/fake_plan.hpp"
#include "tests/support/loopback.hpp"
#include "tests/support/scratch_folder.hpp"

namespace guda::orchestrator {
namespace {

using test::LoopbackNetwork;

/// An agent and worker in one thread that "computes" a function of the job's digest.
class FakeAgent {
 public:
  FakeAgent(LoopbackNetwork& network, std::uint32_t rank, const RunLayout& run, const jobs::Plan& plan,
            std::string token, std::filesystem::path slow = {})
      : slow_disk(std::move(slow)),
        channel_(network, rank),
        run_(run),
        plan_(plan),
        segment_((slow_disk.empty() ? run.rows() : slow_disk) / ("0001-" + std::to_string(rank) + ".seg")) {
    channel_.send(0, encode(message::Hello{std::move(token), "elsewhere", "elsewhere/cpu" + std::to_string(rank), 1}));
  }

  /// Works until dismissed, until `limit` jobs are done, or until nobody has spoken for five seconds.
  void work(std::size_t limit = 1'000'000) {
    auto heard = std::chrono::steady_clock::now();
    while (done < limit && std::chrono::steady_clock::now() - heard < std::chrono::seconds(5)) {
      const auto envelope = channel_.receive();
      if (envelope) heard = std::chrono::steady_clock::now();
      if (!envelope) {
        std::this_thread::sleep_for(std::chrono::microseconds(200));
        continue;
      }
      const Message m = decode(envelope->bytes);
      if (std::holds_alternative<message::Dismiss>(m)) return;
      if (const auto* assign = std::get_if<message::Assign>(&m)) {
        if (assign->seat) seats[assign->lease] = *assign->seat;
        compute(assign->lease);
      }
      if (const auto* cancel = std::get_if<message::Cancel>(&m))
        channel_.send(0, encode(message::Returned{cancel->lease}));
    }
  }

  std::size_t done = 0;
  std::map<Lease, GangSeat> seats;
  std::string fail_label;  ///< jobs whose label starts so diverge
  bool ask_again = false;  ///< the first of them is asked for again, as guda retry does
  std::filesystem::path
      slow_disk;  ///< rows are written here and show up in the run directory a while after the job is done

 private:
  void compute(const Lease& lease) {
    const jobs::JobSpec& job = plan_.jobs.at(lease.job);
    if (!fail_label.empty() && job.label.starts_with(fail_label)) {
      channel_.send(0, encode(message::Failed{lease, ErrorClass::divergence, "NaN at step 3"}));
      if (ask_again) {
        fail_label.clear();
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
        const auto file = post_control(
            run_,
            {.kind = ControlRequest::Kind::retry, .epoch = 1, .jobs = {job.digest}, .unfence = {}, .by = "me@here"});
        while (std::filesystem::exists(file)) std::this_thread::sleep_for(std::chrono::milliseconds(10));
      }
      return;
    }
    message::Done result{lease, 0.5, {}, Json::object()};
    const auto value = [&](std::size_t i) { return static_cast<float>((query_id(job.digest.hex) % 1000) + i); };
    if (const auto* score = std::get_if<jobs::ScoreSpec>(&job.work)) {
      std::vector<float> rows(score->count * score->slots.size());
      for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = value(i);
      result.rows = segment_.append(job.digest, score->count, static_cast<std::uint32_t>(score->slots.size()), rows);
    } else if (jobs::leaves_scores(job.work)) {
      std::vector<double> rows(plan_.queries.size() * plan_.groups.size());
      for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = value(i);
      result.rows = segment_.append(job.digest, static_cast<std::uint32_t>(plan_.queries.size()),
                                    static_cast<std::uint32_t>(plan_.groups.size()), rows);
    } else {
      std::filesystem::create_directories(run_.artifacts() / job.digest.hex);
    }
    ++done;
    channel_.send(0, encode(result));
    if (slow_disk.empty() || result.rows.length == 0) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(60));
    std::filesystem::copy_file(slow_disk / result.rows.segment, run_.rows() / result.rows.segment,
                               std::filesystem::copy_options::overwrite_existing);
  }

  LoopbackNetwork::Endpoint channel_;
  const RunLayout& run_;
  const jobs::Plan& plan_;
  RowSegmentWriter segment_;
};

jobs::Plan plan_of_pairs() {
  jobs::Experiment e = test::small_experiment();
  e.resources.gang = 2;
  return jobs::make_plan(e, jobs::load_dataset(e.dataset), jobs::Numerics{"cpu", "avx2", "float32", 1});
}

struct Bench {
  explicit Bench(jobs::Plan p = test::small_plan()) : plan(std::move(p)), run{scratch.path() / "run"} {
    make_run_folders(run);
    replace_file(run.plan(), jobs::to_json(plan).dump());
    life.epoch = 1;
    life.token = "token";
    life.beat_every = 0.05;
    life.visible_within = 0.3;
  }
  int serve_one_life() {
    LoopbackNetwork::Endpoint channel(network, 0);
    return serve(channel, run, plan, life, stop);
  }

  test::ScratchFolder scratch;
  jobs::Plan plan;
  RunLayout run;
  Life life;
  LoopbackNetwork network{3};
  std::atomic<int> stop = 0;
};

}  // namespace

TEST_CASE("serve: a plan runs to its end; the journal holds every job once and results.h5 every row") {
  Bench b;
  std::jthread first([&] { FakeAgent(b.network, 1, b.run, b.plan, "token").work(); });
  std::jthread second([&] { FakeAgent(b.network, 2, b.run, b.plan, "token").work(); });
  CHECK(b.serve_one_life() == 0);
  const auto journal = read_journal(b.run.journal());
  CHECK(journal.damage.empty());
  CHECK(commits_of(journal).size() == b.plan.jobs.size());
  std::size_t commits = 0;
  for (const auto& record : journal.records) commits += record.type == RecordType::commit ? 1 : 0;
  CHECK(commits == b.plan.jobs.size());
  const ResultsTable table = read_results(b.run.results());
  for (const auto& [name, status] : table.status) {
    for (const auto s : status) CHECK_MESSAGE(s == kDone, name);
  }
  const auto status = read_status(b.run.status());
  REQUIRE(status);
  CHECK(status->state == "ended");
  CHECK(status->exit_code == 0);
  CHECK(status->done == b.plan.jobs.size());
}

TEST_CASE("serve: checkpoints of a job go when it is committed") {
  Bench b;
  const auto folder = b.run.checkpoints(test::labelled(b.plan, "train full").digest.hex);
  std::filesystem::create_directories(folder);
  replace_file(folder / "step-00000001.safetensors", "state");
  std::jthread agent([&] { FakeAgent(b.network, 1, b.run, b.plan, "token").work(); });
  CHECK(b.serve_one_life() == 0);
  CHECK_FALSE(std::filesystem::exists(folder));
}

TEST_CASE("serve: gangs get their places, and are journaled once with all their members") {
  Bench b(plan_of_pairs());
  std::map<Lease, GangSeat> seats[2];
  {
    const auto agent = [&](std::uint32_t rank) {
      FakeAgent fake(b.network, rank, b.run, b.plan, "token");
      fake.work();
      seats[rank - 1] = fake.seats;
    };
    std::jthread first(agent, 1), second(agent, 2);
    CHECK(b.serve_one_life() == 0);
  }
  CHECK(seats[0].size() == 11);  // the full model and ten without a group
  for (const auto& [lease, seat] : seats[0]) {
    const GangSeat& other = seats[1].at(lease);
    CHECK(seat.memory == other.memory);
    CHECK(seat.rank + other.rank == 1);
    CHECK(seat.size == 2);
  }
  const auto journal = read_journal(b.run.journal());
  CHECK(commits_of(journal).size() == b.plan.jobs.size());
  std::size_t leases = 0, together = 0;
  for (const auto& record : journal.records) {
    CHECK(record.type != RecordType::duplicate);
    if (record.type != RecordType::lease) continue;
    ++leases;
    if (!record.body.contains("members")) continue;
    ++together;
    CHECK(record.body.at("members").size() == 2);
    CHECK(record.body.at("members").at(0) == record.body.at("worker"));
  }
  CHECK(leases == b.plan.jobs.size());
  CHECK(together == 11);
}

TEST_CASE("serve: rebuilt from journal and segments, results.h5 has the very same losses") {
  Bench b;
  std::jthread agent([&] { FakeAgent(b.network, 1, b.run, b.plan, "token").work(); });
  CHECK(b.serve_one_life() == 0);
  const ResultsTable live = read_results(b.run.results());
  std::filesystem::remove(b.run.results());
  CHECK(rebuild_results(b.run, b.plan, commits_of(read_journal(b.run.journal()))).empty());
  const ResultsTable rebuilt = read_results(b.run.results());
  REQUIRE(live.losses.size() == rebuilt.losses.size());
  for (const auto& [name, values] : live.losses) {
    const auto& other = rebuilt.losses.at(name);
    REQUIRE(values.size() == other.size());
    for (std::size_t i = 0; i < values.size(); ++i)
      CHECK((values[i] == other[i] || (std::isnan(values[i]) && std::isnan(other[i]))));
  }
  CHECK(live.status == rebuilt.status);
}

TEST_CASE("serve: a stop ends the life with 75, and the next life does only what is left") {
  Bench b;
  std::size_t first_life = 0;
  {
    std::jthread agent([&] {
      FakeAgent fake(b.network, 1, b.run, b.plan, "token");
      fake.work(5);
      first_life = fake.done;
      b.stop = 1;
      fake.work();
    });
    CHECK(b.serve_one_life() == 75);
  }
  const std::size_t before = commits_of(read_journal(b.run.journal())).size();
  CHECK(before >= first_life);
  CHECK(before < b.plan.jobs.size());
  b.stop = 0;
  b.life.epoch = 2;
  LoopbackNetwork fresh{3};
  std::size_t second_life = 0;
  std::jthread agent([&] {
    FakeAgent fake(fresh, 1, b.run, b.plan, "token");
    fake.work();
    second_life = fake.done;
  });
  LoopbackNetwork::Endpoint channel(fresh, 0);
  CHECK(serve(channel, b.run, b.plan, b.life, b.stop) == 0);
  agent.join();
  CHECK(second_life == b.plan.jobs.size() - before);
}

TEST_CASE("serve: a diverging job is quarantined and named, everything else is done, exit 10") {
  Bench b;
  std::jthread agent([&] {
    FakeAgent fake(b.network, 1, b.run, b.plan, "token");
    fake.fail_label = "unlearn retrack_exact -3";
    fake.work();
  });
  CHECK(b.serve_one_life() == 10);
  bool named = false;
  for (const auto& record : read_journal(b.run.journal()).records) {
    named = named || (record.type == RecordType::failure && record.body.at("quarantined") == true &&
                      record.body.at("text") == "NaN at step 3");
  }
  CHECK(named);
  const auto status = read_status(b.run.status());
  CHECK(status->quarantined == 1);
  CHECK(status->blocked == 2);  // its two score blocks
}

TEST_CASE("serve: a hello with a foreign token gets no work") {
  Bench b;
  b.life.scheduler.lost_after = 0.5;
  LoopbackNetwork::Endpoint stranger(b.network, 2);
  stranger.send(0, encode(message::Hello{"another life", "n", "n/cpu", 1}));
  CHECK_THROWS_WITH(static_cast<void>(b.serve_one_life()), doctest::Contains("no worker"));
  while (const auto e = stranger.receive()) CHECK_FALSE(std::holds_alternative<message::Assign>(decode(e->bytes)));
}

TEST_CASE("serve: a newer owner in the lock makes this life leave before it commits more") {
  Bench b;
  replace_file(
      b.run.lock(),
      R"({"epoch": 9, "host": "h", "boot": "b", "user": "u", "pid": 1, "pid_start": 1, "slurm_job": "", "slurm_restarts": "", "nonce": "x"})");
  std::jthread agent([&] { FakeAgent(b.network, 1, b.run, b.plan, "token").work(3); });
  CHECK_THROWS_WITH(static_cast<void>(b.serve_one_life()), doctest::Contains("taken over"));
}

TEST_CASE("serve: rows that show up late are waited for, and the job is done once") {
  Bench b;
  b.life.visible_within = 30;
  std::filesystem::create_directory(b.run.folder / "elsewhere");
  std::jthread agent([&] { FakeAgent(b.network, 1, b.run, b.plan, "token", b.run.folder / "elsewhere").work(); });
  CHECK(b.serve_one_life() == 0);
  for (const JournalRecord& record : read_journal(b.run.journal()).records) CHECK(record.type != RecordType::failure);
  CHECK(compare_view(b.run, b.plan, commits_of(read_journal(b.run.journal())), false).empty());
}

TEST_CASE("serve: a stop or a drain that is asked for through the run directory ends the life with 75") {
  for (const auto kind : {ControlRequest::Kind::stop, ControlRequest::Kind::drain, ControlRequest::Kind::stop_now}) {
    Bench b;
    post_control(b.run, {.kind = kind, .epoch = 1, .jobs = {}, .unfence = {}, .by = "me@here"});
    std::jthread agent([&] { FakeAgent(b.network, 1, b.run, b.plan, "token").work(); });
    CHECK(b.serve_one_life() == 75);
    CHECK(commits_of(read_journal(b.run.journal())).size() < b.plan.jobs.size());
    CHECK(std::filesystem::is_empty(b.run.control()));
    const auto status = read_status(b.run.status());
    REQUIRE_FALSE(status->errors.empty());
    CHECK(status->errors[0].find("me@here") != std::string::npos);
  }
}

TEST_CASE("serve: a job that was given up runs again in the same life when a person asks for it") {
  Bench b;
  std::jthread agent([&] {
    FakeAgent fake(b.network, 1, b.run, b.plan, "token");
    fake.fail_label = "unlearn retrack_exact -3";
    fake.ask_again = true;
    fake.work();
  });
  CHECK(b.serve_one_life() == 0);
  CHECK(commits_of(read_journal(b.run.journal())).size() == b.plan.jobs.size());
}

}  // namespace guda::orchestrator
