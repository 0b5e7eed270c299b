#include "orchestrator/scheduler.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <numeric>
#include <random>
#include <set>

namespace guda::orchestrator {
namespace {

const WorkerId w1(1), w2(2);

JobNode job(double cost, std::vector<std::uint32_t> inputs = {}) {
  JobNode node{cost, {}};
  for (const auto i : inputs) node.inputs.emplace_back(i);
  return node;
}

/// Feeds events, checks invariants after each, and performs commits as the shell does.
struct Bench {
  explicit Bench(std::vector<JobNode> jobs, SchedulerConfig config = {}) : scheduler(jobs, std::vector<bool>(jobs.size(), false), config) {}

  std::vector<Action> feed(const Event& event) {
    auto actions = scheduler.on(event, now);
    scheduler.check_invariants();
    for (const Action& a : actions) {
      if (const auto* assign = std::get_if<action::Assign>(&a)) {
        held[assign->worker] = assign->lease;
        CHECK_MESSAGE(!lost.contains(assign->worker), "a lost worker got a job");
      }
      if (const auto* gone = std::get_if<action::LoseWorker>(&a)) lost.insert(gone->worker);
      if (const auto* commit = std::get_if<action::Commit>(&a)) pending.push_back(JobIndex(commit->lease.job));
      if (const auto* finish = std::get_if<action::Finish>(&a)) exit_code = finish->exit_code;
    }
    return actions;
  }
  std::vector<Action> join(WorkerId w) { return feed(event::WorkerJoined{w, "node/cpu" + std::to_string(w.value)}); }
  std::vector<Action> finish(WorkerId w) { return feed(event::Finished{w, held.at(w), 1}); }
  void commit_all() {
    while (!pending.empty()) {
      const JobIndex j = pending.back();
      pending.pop_back();
      ++committed[j.value];
      feed(event::Committed{j});
    }
  }

  Scheduler scheduler;
  Time now = 0;
  std::map<WorkerId, Lease> held;
  std::set<WorkerId> lost;
  std::vector<JobIndex> pending;
  std::map<std::uint32_t, int> committed;
  std::optional<int> exit_code;
};

template <class T>
std::size_t count_of(const std::vector<Action>& actions) {
  return static_cast<std::size_t>(std::count_if(actions.begin(), actions.end(), [](const Action& a) { return std::holds_alternative<T>(a); }));
}

}  // namespace

TEST_CASE("scheduler: the longest chain of predicted cost is leased first") {
  Bench b({job(1), job(5), job(2), job(10, {2})});
  b.join(w1);
  CHECK(b.held[w1].job == 2);  // 2 + 10 behind it
  b.join(w2);
  CHECK(b.held[w2].job == 1);
}

TEST_CASE("scheduler: a dependant waits for the commit of its input, not for its report") {
  Bench b({job(1), job(1, {0})});
  b.join(w1);
  const auto actions = b.finish(w1);
  CHECK(count_of<action::Commit>(actions) == 1);
  CHECK(count_of<action::Assign>(actions) == 0);
  CHECK(b.scheduler.jobs()[1].state == JobState::waiting);
  b.commit_all();
  CHECK(b.held[w1].job == 1);
}

TEST_CASE("scheduler: the run ends with 0 when everything is committed and dismisses every worker") {
  Bench b({job(1), job(1)});
  b.join(w1);
  b.join(w2);
  b.finish(w1);
  b.finish(w2);
  CHECK_FALSE(b.exit_code);
  b.pending.pop_back();
  b.feed(event::Committed{JobIndex(0)});
  const auto last = b.feed(event::Committed{JobIndex(1)});
  CHECK(count_of<action::DismissWorker>(last) == 2);
  CHECK(b.exit_code == 0);
}

TEST_CASE("scheduler: a plan that is already committed ends at the first event") {
  Scheduler s({job(1)}, {true}, {});
  const auto actions = s.on(event::Tick{}, 0);
  REQUIRE(actions.size() == 1);
  CHECK(std::get<action::Finish>(actions[0]).exit_code == 0);
}

TEST_CASE("scheduler: a job of a lost worker is leased again with a higher attempt, and the late result is dropped") {
  Bench b({job(1)});
  b.join(w1);
  const Lease first = b.held[w1];
  b.now = 100;
  b.join(w2);  // alive, but the job is taken
  b.now = 121;
  b.feed(event::Heartbeat{w2, false, {}, 0});
  b.feed(event::Tick{});
  CHECK(b.lost.contains(w1));
  REQUIRE(b.held.contains(w2));
  CHECK(b.held[w2].attempt == first.attempt + 1);
  const auto late = b.feed(event::Finished{w1, first, 1});
  CHECK(count_of<action::DropLate>(late) == 1);
  CHECK(count_of<action::Commit>(late) == 0);
}

TEST_CASE("scheduler: a late heartbeat revives nobody") {
  Bench b({job(1), job(1)});
  b.join(w1);
  b.now = 500;
  b.join(w2);
  b.feed(event::Tick{});
  b.feed(event::Heartbeat{w1, true, b.held[w1], 5});
  CHECK(b.scheduler.workers().at(w1).lost);
}

TEST_CASE("scheduler: a suspect worker keeps its job but gets no new one") {
  Bench b({job(2), job(1)});
  b.join(w1);
  b.now = 40;
  b.feed(event::Tick{});
  CHECK_FALSE(b.scheduler.workers().at(w1).lost);
  CHECK(b.scheduler.count(JobState::running) == 1);
  b.join(w2);
  CHECK(b.held[w2].job == 1);
}

TEST_CASE("scheduler: a worker that beats without progress is restarted and its job leased again") {
  Bench b({job(1)}, {.no_progress_after = 50});
  b.join(w1);
  const Lease first = b.held[w1];
  for (b.now = 5; b.now <= 45; b.now += 5) b.feed(event::Heartbeat{w1, true, first, 7});  // step 7 once, then nothing
  for (; b.now < 70; b.now += 5) {
    b.feed(event::Heartbeat{w1, true, first, 7});
    b.feed(event::Tick{});
  }
  CHECK(b.held[w1].attempt == 2);
  CHECK(b.scheduler.jobs()[0].failures == 1);
}

TEST_CASE("scheduler: steps count as progress") {
  Bench b({job(1)}, {.no_progress_after = 50});
  b.join(w1);
  for (b.now = 0; b.now < 300; b.now += 10) {
    b.feed(event::Heartbeat{w1, true, b.held[w1], static_cast<std::uint64_t>(b.now)});
    b.feed(event::Tick{});
  }
  CHECK(b.held[w1].attempt == 1);
}

TEST_CASE("scheduler: a job that crashes three times on two devices is quarantined, its dependants are blocked, exit 10") {
  Bench b({job(1), job(1, {0}), job(1)});
  b.join(w1);
  b.join(w2);
  for (int i = 0; i < 20 && b.scheduler.jobs()[0].state != JobState::quarantined; ++i) {
    for (const WorkerId w : {w1, w2}) {
      const auto& lease = b.scheduler.workers().at(w).lease;
      if (lease && lease->job == 0) b.feed(event::Failed{w, *lease, ErrorClass::crash, "segfault"});
      // The failed job waits for the other device, which is at work until it has finished.
      else if (lease && lease->job == 2) b.finish(w);
    }
  }
  CHECK(b.scheduler.jobs()[0].state == JobState::quarantined);
  CHECK(b.scheduler.jobs()[0].failed_devices.size() == 2);
  CHECK(b.scheduler.jobs()[1].state == JobState::blocked);
  b.commit_all();
  CHECK(b.exit_code == 10);
}

TEST_CASE("scheduler: divergence and bad input are never tried again") {
  for (const ErrorClass error : {ErrorClass::divergence, ErrorClass::bad_input, ErrorClass::out_of_memory}) {
    Bench b({job(1)});
    b.join(w1);
    b.feed(event::Failed{w1, b.held[w1], error, "NaN"});
    CHECK(b.scheduler.jobs()[0].state == JobState::quarantined);
    CHECK(b.exit_code == 10);
  }
}

TEST_CASE("scheduler: i/o errors back off with doubling waits") {
  Bench b({job(1)});
  b.join(w1);
  b.feed(event::Failed{w1, b.held[w1], ErrorClass::io, "disk full"});
  CHECK(b.scheduler.jobs()[0].state == JobState::backing_off);
  b.now = 0.5;
  b.feed(event::Tick{});
  CHECK(b.scheduler.jobs()[0].state == JobState::backing_off);
  b.now = 1.1;
  b.feed(event::Tick{});
  CHECK(b.scheduler.jobs()[0].state == JobState::running);
  b.feed(event::Failed{w1, b.held[w1], ErrorClass::io, "disk full"});
  CHECK(b.scheduler.jobs()[0].retry_at == doctest::Approx(3.1));
}

TEST_CASE("scheduler: a stop hands running jobs back without counting a failure and ends with 75") {
  Bench b({job(1), job(1)});
  b.join(w1);
  const auto actions = b.feed(event::StopRequested{});
  CHECK(count_of<action::Cancel>(actions) == 1);
  CHECK_FALSE(b.exit_code);
  b.feed(event::Returned{w1, b.held[w1]});
  CHECK(b.exit_code == 75);
  CHECK(b.scheduler.jobs()[0].failures == 0);
}

TEST_CASE("scheduler: losing the last worker ends this life with 75") {
  Bench b({job(1)});
  b.join(w1);
  b.feed(event::WorkerGone{w1});
  CHECK(b.exit_code == 75);
}

TEST_CASE("scheduler: a commit that is refused becomes an i/o failure of the job") {
  Bench b({job(1)});
  b.join(w1);
  b.finish(w1);
  b.feed(event::CommitRefused{JobIndex(0), "short read"});
  CHECK(b.scheduler.jobs()[0].state == JobState::backing_off);
  CHECK(b.scheduler.jobs()[0].io_failures == 1);
}

TEST_CASE("scheduler: over every order of seven racing events nothing is committed twice and no lost worker gets work") {
  // Two workers on three jobs; loss, late result, failure, heartbeat, a new worker, a commit and a deadline race.
  std::vector<std::function<void(Bench&, const Lease&)>> events{
      [](Bench& b, const Lease&) { b.feed(event::WorkerGone{w1}); },
      [](Bench& b, const Lease& first) { b.feed(event::Finished{w1, first, 1}); },
      [](Bench& b, const Lease& first) { b.feed(event::Failed{w1, first, ErrorClass::crash, "x"}); },
      [](Bench& b, const Lease& first) { b.feed(event::Heartbeat{w1, true, first, 3}); },
      [](Bench& b, const Lease&) { b.join(w2); },
      [](Bench& b, const Lease&) { b.commit_all(); },
      [](Bench& b, const Lease&) { b.now += 130; b.feed(event::Tick{}); },
  };
  std::vector<std::size_t> order(events.size());
  std::iota(order.begin(), order.end(), 0U);
  std::size_t orders = 0;
  do {
    Bench b({job(3), job(2), job(1, {0})});
    b.join(w1);
    const Lease first = b.held[w1];
    for (const std::size_t i : order) events[i](b, first);
    b.commit_all();
    for (const auto& [j, times] : b.committed) REQUIRE(times == 1);
    ++orders;
  } while (std::next_permutation(order.begin(), order.end()));
  CHECK(orders == 5040);
}

TEST_CASE("scheduler: random graphs with random failures always end with every job in a final state") {
  for (unsigned seed = 0; seed < 300; ++seed) {
    std::mt19937 random(seed);
    const auto below = [&](unsigned n) { return static_cast<std::uint32_t>(random() % n); };
    std::vector<JobNode> jobs;
    for (std::uint32_t i = 0; i < 1 + below(25); ++i) {
      std::vector<std::uint32_t> inputs;
      for (std::uint32_t k = 0; i > 0 && k < below(3); ++k) inputs.push_back(below(i));
      std::sort(inputs.begin(), inputs.end());
      inputs.erase(std::unique(inputs.begin(), inputs.end()), inputs.end());
      jobs.push_back(job(1 + below(9), inputs));
    }
    Bench b(jobs);
    std::uint32_t next_worker = 1;
    for (int turn = 0; turn < 5000 && !b.exit_code; ++turn) {
      b.now += 0.5;
      if (next_worker == 1 || (below(20) == 0 && next_worker < 40)) b.join(WorkerId(next_worker++));
      for (const auto& [id, worker] : std::map(b.scheduler.workers())) {
        if (worker.lost || b.exit_code) continue;
        b.feed(event::Heartbeat{id, worker.lease.has_value(), worker.lease.value_or(Lease{}), static_cast<std::uint64_t>(turn)});
        if (!worker.lease) continue;
        switch (below(12)) {
          case 0: b.feed(event::Failed{id, *worker.lease, ErrorClass::crash, "x"}); break;
          case 1: b.feed(event::Failed{id, *worker.lease, ErrorClass::io, "x"}); break;
          case 2: if (next_worker > 3 && id.value % 3 == 0) b.feed(event::WorkerGone{id}); break;
          case 3: case 4: case 5: case 6: b.feed(event::Finished{id, *worker.lease, 1}); break;
          default: break;
        }
      }
      b.commit_all();
      if (!b.exit_code) b.feed(event::Tick{});
    }
    CAPTURE(seed);
    REQUIRE(b.exit_code);
    if (*b.exit_code == 75) continue;  // all workers lost
    for (const JobStatus& s : b.scheduler.jobs()) {
      CHECK((s.state == JobState::done || s.state == JobState::quarantined || s.state == JobState::blocked));
    }
  }
}

}  // namespace guda::orchestrator
