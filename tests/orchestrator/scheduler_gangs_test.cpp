// Jobs that several workers of one node do together: how they find their workers, and how they end.
#include <doctest/doctest.h>

#include <functional>
#include <numeric>
#include <string>

#include "orchestrator/virtual_run.hpp"
#include "tests/support/scheduler_bench.hpp"

namespace guda::orchestrator {
namespace {

using test::count_of;
using test::job;
using Bench = test::SchedulerBench;

const WorkerId w1(1), w2(2), w3(3), w4(4);

/// A job of two workers.
JobNode pair_of(double cost, std::vector<std::uint32_t> inputs = {}) {
  return job(cost, std::move(inputs), 0, true, 2);
}

std::vector<WorkerId> cancelled(const std::vector<Action>& actions) {
  std::vector<WorkerId> workers;
  for (const Action& a : actions) {
    if (const auto* cancel = std::get_if<action::Cancel>(&a)) workers.push_back(cancel->worker);
  }
  return workers;
}

/// Ends whatever runs, time after time, until the life ends.
void work_off(Bench& b) {
  for (int turn = 0; turn < 300 && !b.exit_code; ++turn) {
    b.now += 10;
    for (const auto& [id, worker] : std::map(b.scheduler.workers())) {
      if (worker.lost || b.exit_code) continue;
      b.feed(event::Heartbeat{id, worker.lease.has_value(), worker.lease.value_or(Lease{}),
                              static_cast<std::uint64_t>(turn)});
      if (!b.exit_code && b.busy(id)) b.finish(id);
    }
    b.commit_all();
    if (!b.exit_code) b.feed(event::Tick{});
  }
}

}  // namespace

TEST_CASE("gangs: a job of two waits for two workers of one node and is leased to both at once, under one attempt") {
  Bench b({pair_of(5)});
  CHECK(b.join(w1, "a").empty());
  CHECK(b.join(w2, "b").empty());
  const auto actions = b.join(w3, "a");
  CHECK(count_of<action::Assign>(actions) == 2);
  CHECK(b.held[w1] == b.held[w3]);
  CHECK_FALSE(b.busy(w2));
  CHECK(b.scheduler.gang_of(JobIndex(0)) == std::vector{w1, w3});
}

TEST_CASE("gangs: the root's result counts, once; members that end before or after it are free again") {
  for (const bool root_first : {true, false}) {
    Bench b({pair_of(5), job(2), job(1)});
    b.join(w1);  // alone: gets what it can do alone
    b.join(w2);
    b.finish(w1);
    REQUIRE(b.busy(w2));
    REQUIRE(b.job_of(w2) == 0);
    if (root_first) {
      const Lease lease = b.held[w2];
      const auto actions = b.finish(w1);
      CHECK(count_of<action::Commit>(actions) == 1);
      CHECK(cancelled(actions) == std::vector{w2});  // harmless when it has just ended
      CHECK(count_of<action::DropLate>(b.feed(event::Finished{w2, lease, 1})) == 0);
    } else {
      CHECK(count_of<action::Commit>(b.finish(w2)) == 0);
      CHECK(b.status(0).state == JobState::running);
      CHECK(b.job_of(w2) == 2);
      CHECK(count_of<action::Commit>(b.finish(w1)) == 1);
    }
    work_off(b);
    CHECK(b.exit_code == 0);
    CHECK(b.committed[0] == 1);
  }
}

TEST_CASE("gangs: one member that fails ends the attempt for all; its device alone is blamed") {
  Bench b({pair_of(5)});
  b.join(w1);
  b.join(w2);
  const Lease first = b.held[w1];
  const auto actions = b.fail(w2);
  CHECK(cancelled(actions) == std::vector{w1});
  REQUIRE(b.failures.size() == 1);
  CHECK(b.failures[0].worker == w2);
  CHECK(b.trouble(0).failed_devices == std::set<std::string>{"node/cpu2"});
  CHECK(b.trouble(0).failures == 1);
  CHECK(b.held[w1].attempt == first.attempt + 1);
  CHECK(b.scheduler.gang_of(JobIndex(0)).front() == w1);  // the root is one whose device is not suspected
  // What the other member of the old attempt still says changes nothing.
  CHECK(b.feed(event::Returned{w1, first}).empty());
  CHECK(b.feed(event::Failed{w1, first, ErrorClass::crash, "x"}).empty());
  work_off(b);
  CHECK(b.exit_code == 0);
}

TEST_CASE("gangs: the loss of a member is a loss, and the rest waits for another worker of its node") {
  Bench b({pair_of(5)});
  b.join(w1);
  b.join(w2);
  CHECK(cancelled(b.feed(event::WorkerGone{w1})) == std::vector{w2});
  CHECK(b.trouble(0).losses == 1);
  CHECK(b.trouble(0).failures == 0);
  CHECK_FALSE(b.busy(w2));
  b.join(w3);
  CHECK(b.busy(w2));
  CHECK(b.busy(w3));
}

TEST_CASE("gangs: a member that hands the job back is no failure: the culprit's own report is waited for") {
  Bench b({pair_of(5)});
  b.join(w1);
  b.join(w2);
  const Lease lease = b.held[w1];
  CHECK(cancelled(b.feed(event::Returned{w1, lease})) == std::vector{w2});
  CHECK(b.failures.empty());
  CHECK(b.status(0).state == JobState::running);
  b.feed(event::Failed{w2, lease, ErrorClass::crash, "killed"});
  REQUIRE(b.failures.size() == 1);
  CHECK(b.failures[0].worker == w2);
  CHECK(b.trouble(0).failures == 1);
}

TEST_CASE("gangs: one that breaks up without a culprit is tried again after a while, as after an i/o error") {
  Bench b({pair_of(5)});
  b.join(w1);
  b.join(w2);
  const Lease lease = b.held[w1];
  b.feed(event::Returned{w2, lease});
  b.feed(event::Returned{w1, lease});
  CHECK(b.status(0).state == JobState::backing_off);
  CHECK(b.trouble(0).failures == 0);
  b.tick(1.5);
  CHECK(b.busy(w1));
  CHECK(b.busy(w2));
}

TEST_CASE("gangs: a stop is handed back by all members, whatever one of them dies of, and counts no failure") {
  for (const bool dies : {false, true}) {
    Bench b({pair_of(5)});
    b.join(w1);
    b.join(w2);
    CHECK(cancelled(b.feed(event::StopRequested{})) == std::vector{w1, w2});
    const Lease lease = b.held[w1];
    if (dies) b.feed(event::Failed{w2, lease, ErrorClass::crash, "killed"});
    else b.feed(event::Returned{w2, lease});
    CHECK_FALSE(b.exit_code);  // the root may be saving
    b.feed(event::Returned{w1, lease});
    CHECK(b.exit_code == 75);
    CHECK(b.failures.empty());
  }
}

TEST_CASE("gangs: without progress of the root it is restarted, and the others are told") {
  Bench b({pair_of(1)}, {.suspect_after = 1e9, .lost_after = 2e9, .no_progress_after = 50});
  b.join(w1);
  b.join(w2);
  for (b.now = 0; b.now < 45; b.now += 5)
    b.feed(event::Heartbeat{w2, true, b.held[w2], static_cast<std::uint64_t>(b.now)});
  const auto actions = b.tick(20);  // the root has said nothing
  CHECK(count_of<action::RestartWorker>(actions) == 1);
  CHECK(cancelled(actions) == std::vector{w2});
  CHECK(b.trouble(0).failures == 1);
}

TEST_CASE("gangs: workers that come free are kept for a gang that outranks what else is ready, and for it alone") {
  // 0 and 1 keep the node busy, the pair outranks 3 and 4.
  Bench b({job(9), job(8), pair_of(7), job(3), job(2)});
  b.join(w1);
  b.join(w2);
  b.finish(w1);
  CHECK_FALSE(b.busy(w1));  // kept
  b.tick(1);
  CHECK_FALSE(b.busy(w1));
  const auto actions = b.finish(w2);
  CHECK(count_of<action::Assign>(actions) == 2);
  CHECK(b.job_of(w1) == 2);
  CHECK(b.job_of(w2) == 2);
}

TEST_CASE("gangs: other nodes go on with what ranks below, and one of them that has room first gets the gang") {
  Bench b({job(9), job(8), job(8), pair_of(7), job(3), job(2), job(1)});
  b.join(w1, "a");
  b.join(w2, "a");
  b.join(w3, "b");
  b.now = 2;
  b.finish(w3);  // node b has one worker only: a gathers, b takes what is left
  CHECK(b.job_of(w3) == 4);
  b.join(w4, "b");
  CHECK(b.job_of(w4) == 5);
  b.finish(w1);
  CHECK_FALSE(b.busy(w1));
  b.finish(w4);  // takes the last one
  b.join(WorkerId(5), "b");
  b.join(WorkerId(6), "b");  // two at once
  CHECK(b.job_of(WorkerId(5)) == 3);
  CHECK(b.job_of(WorkerId(6)) == 3);
  work_off(b);
  CHECK(b.exit_code == 0);
}

TEST_CASE("gangs: two of them never hold what the other needs") {
  Bench b({job(9), job(9), job(9), pair_of(8), pair_of(8), job(1)});
  b.join(w1);
  b.join(w2);
  b.join(w3);
  b.finish(w1);
  CHECK_FALSE(b.busy(w1));
  b.finish(w2);
  CHECK(b.job_of(w1) == b.job_of(w2));
  b.finish(w3);
  CHECK_FALSE(b.busy(w3));  // the second pair waits for one of the first
  work_off(b);
  CHECK(b.exit_code == 0);
  CHECK(b.failures.empty());
}

TEST_CASE("gangs: longer jobs that become ready do not starve a gang that has begun to gather") {
  Bench b({job(20), job(19), pair_of(10), job(15, {0}), job(15, {1})});
  b.join(w1);
  b.join(w2);
  b.finish(w1);
  CHECK_FALSE(b.busy(w1));
  b.commit_all();
  CHECK(b.status(3).state == JobState::ready);
  CHECK_FALSE(b.busy(w1));
  b.finish(w2);
  CHECK(b.job_of(w1) == 2);
  CHECK(b.job_of(w2) == 2);
}

TEST_CASE("gangs: when the node that gathers loses a worker, another one gathers") {
  Bench b({job(40), job(39), job(30), job(29), pair_of(10), job(1)});
  b.join(w3, "b");
  b.join(w4, "b");
  b.join(w1, "a");
  b.join(w2, "a");
  b.finish(w1);
  CHECK_FALSE(b.busy(w1));        // node a will have two workers first
  b.feed(event::WorkerGone{w2});  // its job is ready again and goes to w1
  CHECK(b.job_of(w1) == 3);
  b.finish(w3);
  CHECK_FALSE(b.busy(w3));
  b.finish(w4);
  CHECK(b.job_of(w3) == 4);
  CHECK(b.job_of(w4) == 4);
}

TEST_CASE("gangs: a device that is held back takes part only where no node can do without it") {
  Bench b({pair_of(9), pair_of(8), pair_of(7)});
  b.join(w1, "a");
  b.join(w2, "a");
  b.fail(w2);
  b.fail(w2);  // the same job: no second failure in a row of another one
  b.join(w3, "b");
  b.join(w4, "b");
  work_off(b);
  CHECK(b.exit_code == 0);

  Bench alone({pair_of(9), pair_of(8), job(1)});
  alone.join(w1);
  alone.join(w2);
  for (int i = 0; i < 8 && !alone.exit_code; ++i) {
    if (alone.busy(w2)) alone.fail(w2);
    alone.tick(1);
  }
  work_off(alone);
  CHECK(alone.exit_code);  // quarantined in the end, but never a hang
}

TEST_CASE("gangs: when no node can ever have enough workers the life ends and says so") {
  Bench b({pair_of(9), job(1)}, {.suspect_after = 1, .lost_after = 100});
  b.join(w1, "a");
  b.join(w2, "b");
  b.finish(w1);
  b.commit_all();
  CHECK_FALSE(b.exit_code);  // more may be starting
  b.tick(2);
  CHECK(b.exit_code == 75);
  CHECK_FALSE(b.planned);
  CHECK(b.reason.find("no node has the 2 workers") != std::string::npos);
}

TEST_CASE("gangs: before a deadline one that does not fit keeps nobody waiting") {
  Bench b({job(100, {}, 0, false, 2), job(3), job(2)}, {.deadline = 45});
  b.join(w1);
  b.join(w2);
  CHECK(b.job_of(w1) == 1);
  CHECK(b.job_of(w2) == 2);
  b.finish(w1);
  b.finish(w2);
  b.commit_all();
  CHECK(b.exit_code == 75);
}

TEST_CASE("gangs: remaining work counts every member") {
  Bench b({pair_of(10), job(3)});
  CHECK(b.scheduler.remaining().p50 == doctest::Approx(23));
  b.join(w1);
  b.finish(w1, 3);
  b.commit_all();
  CHECK(b.scheduler.remaining().p50 == doctest::Approx(20));
  b.join(w2);
  b.finish(w1, 10);
  b.commit_all();
  CHECK(b.exit_code == 0);
}

TEST_CASE("gangs: every order of a member's loss, late results, failures, hand-backs, newcomers and a commit") {
  using Step = std::function<void(Bench&, const Lease&)>;
  const std::vector<Step> steps{
      [](Bench& b, const Lease&) { b.feed(event::WorkerGone{w2}); },
      [](Bench& b, const Lease& first) { b.feed(event::Finished{w1, first, 1}); },
      [](Bench& b, const Lease& first) { b.feed(event::Finished{w2, first, 1}); },
      [](Bench& b, const Lease& first) { b.feed(event::Failed{w2, first, ErrorClass::crash, "x"}); },
      [](Bench& b, const Lease& first) { b.feed(event::Returned{w1, first}); },
      [](Bench& b, const Lease&) { b.join(w3); },
      [](Bench& b, const Lease&) { b.commit_all(); },
  };
  std::vector<std::size_t> order(steps.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::size_t orders = 0;
  do {
    Bench b({pair_of(3), pair_of(2), job(1, {0}), job(1, {0, 1})});
    b.join(w1);
    b.join(w2);
    const Lease first = b.held[w1];
    for (const std::size_t i : order) steps[i](b, first);
    b.commit_all();
    if (!b.exit_code) b.join(w4);
    if (!b.exit_code) b.join(WorkerId(5));
    work_off(b);
    REQUIRE(b.exit_code == 0);
    for (const auto& [j, times] : b.committed) REQUIRE(times == 1);
    ++orders;
  } while (std::next_permutation(order.begin(), order.end()));
  CHECK(orders == 5040);
}

TEST_CASE("gangs: in virtual time gangs and single jobs share the nodes near the bound, failures included") {
  HugeVector<JobNode> jobs;
  for (int i = 0; i < 400; ++i) jobs.push_back(i % 10 == 0 ? job(40, {}, 0, true, 4) : job(10 + i % 7, {}, 1));
  double work = 0;
  for (const JobNode& j : jobs) work += j.cost * j.gang;
  const std::vector<bool> none(jobs.size(), false);
  const VirtualRun quiet = run_virtually(jobs, none, {.workers = 32, .workers_per_node = 8});
  CHECK(quiet.finished);
  CHECK(quiet.makespan >= work / 32);
  CHECK(quiet.makespan <= 1.15 * work / 32);
  const VirtualRun rough =
      run_virtually(jobs, none, {.workers = 32, .workers_per_node = 8, .failures = 0.05, .seed = 3});
  CHECK(rough.finished);
  CHECK(rough.quarantined == 0);
  const VirtualRun lives =
      run_virtually(jobs, none, {.workers = 32, .workers_per_node = 8, .life = 120, .checkpoint = 10, .seed = 3},
                    std::vector<bool>(jobs.size(), true));
  CHECK(lives.finished);
  CHECK(lives.lives > 1);
}

}  // namespace guda::orchestrator
