#include "orchestrator/scheduler.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>

#include "tests/support/scheduler_bench.hpp"

namespace guda::orchestrator {
namespace {

using test::count_of;
using test::job;
using Bench = test::SchedulerBench;

const WorkerId w1(1), w2(2), w3(3);

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

TEST_CASE(
    "scheduler: a job that crashes three times on two devices is quarantined, its dependants are blocked, exit 10") {
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
  CHECK(b.scheduler.trouble(JobIndex(0)).failed_devices.size() == 2);
  CHECK(b.scheduler.jobs()[1].state == JobState::blocked);
  b.commit_all();
  CHECK(b.exit_code == 10);
}

TEST_CASE("scheduler: divergence and bad input are never tried again") {
  for (const ErrorClass error : {ErrorClass::divergence, ErrorClass::bad_input}) {
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
  CHECK(b.scheduler.trouble(JobIndex(0)).failures == 0);
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
  CHECK(b.scheduler.trouble(JobIndex(0)).io_failures == 1);
}

TEST_CASE(
    "scheduler: a job that runs out of memory is tried once more, then quarantined with the cure in the message") {
  Bench b({job(1), job(1)});
  b.join(w1);
  b.join(w2);
  b.feed(event::Failed{w1, b.held[w1], ErrorClass::out_of_memory, "killed"});
  CHECK(b.status(0).state == JobState::ready);  // for the other device
  b.finish(w2);
  CHECK(b.job_of(w2) == 0);
  b.fail(w2, ErrorClass::out_of_memory);
  CHECK(b.status(0).state == JobState::quarantined);
  REQUIRE(b.failures.size() == 2);
  CHECK(b.failures[0].cure.empty());
  CHECK(b.failures[1].cure.find("scoring.batch") != std::string::npos);
}

TEST_CASE("scheduler: a sticky device error restarts the worker and sends the job elsewhere") {
  Bench b({job(2), job(1)});
  b.join(w1);
  b.join(w2);
  const auto actions = b.fail(w1, ErrorClass::device);
  CHECK(count_of<action::RestartWorker>(actions) == 1);
  CHECK_FALSE(b.busy(w1));
  b.finish(w2);
  CHECK(b.job_of(w2) == 0);
}

TEST_CASE("scheduler: what dies while everything is being stopped is no failure") {
  Bench b({job(1)});
  b.join(w1);
  b.feed(event::StopRequested{});
  const auto actions = b.fail(w1);
  CHECK(count_of<action::RecordFailure>(actions) == 0);
  CHECK(b.trouble(0).failures == 0);
  CHECK(b.exit_code == 75);
}

TEST_CASE("scheduler: draining lets running jobs end and starts nothing new") {
  Bench b({job(2), job(1)});
  b.join(w1);
  CHECK(count_of<action::Cancel>(b.feed(event::DrainRequested{})) == 0);
  b.finish(w1);
  b.commit_all();
  CHECK(b.exit_code == 75);
  CHECK(b.planned);
  CHECK(b.status(0).state == JobState::done);
  CHECK(b.status(1).state == JobState::ready);
}

TEST_CASE("scheduler: the end by loss of all workers is not a planned one") {
  Bench b({job(1)});
  b.join(w1);
  b.feed(event::WorkerGone{w1});
  CHECK(b.exit_code == 75);
  CHECK_FALSE(b.planned);
}

TEST_CASE("scheduler: a job goes to the worker that has its input, when it ranks about as high as the top") {
  // 0 and 1 make the inputs of 2 and 3; the dependants differ by 2 % in cost.
  Bench b({job(10), job(10), job(5.0, {0}), job(5.1, {1})});
  b.join(w1);
  b.join(w2);
  const std::uint32_t first = b.held[w1].job;
  b.finish(w1);
  b.finish(w2);
  b.commit_all();
  CHECK(b.job_of(w1) == first + 2);
  CHECK(b.job_of(w2) == 5 - (first + 2));
}

TEST_CASE("scheduler: locality does not beat a clearly longer job") {
  Bench b({job(10), job(5, {0}), job(9)});
  b.join(w1);
  b.finish(w1);
  b.commit_all();
  CHECK(b.job_of(w1) == 2);
}

TEST_CASE("scheduler: before a deadline only what fits is started, the longest chain of it first") {
  Bench b({job(100), job(10), job(3), job(20)}, {.deadline = 45});
  b.join(w1);
  CHECK(b.job_of(w1) == 3);  // p90 of 20 s is 38 s; 100 s does not fit
  b.now = 20;
  b.finish(w1, 20);
  b.commit_all();
  CHECK(b.job_of(w1) == 1);
  b.now = 30;
  b.finish(w1, 10);
  b.commit_all();
  CHECK(b.job_of(w1) == 2);
  b.now = 33;
  b.finish(w1, 3);
  b.commit_all();
  CHECK(b.exit_code == 75);
  CHECK(b.reason.find("deadline") != std::string::npos);
}

TEST_CASE("scheduler: a job with checkpoints starts when its next checkpoint fits before the deadline") {
  Bench b({job(100, {}, 0, true)}, {.deadline = 45});
  b.join(w1);
  CHECK(b.busy(w1));
}

TEST_CASE("scheduler: a deadline may become known later, and be lifted") {
  Bench b({job(10), job(10)});
  b.join(w1);
  b.feed(event::DeadlineSet{15});
  b.now = 10;
  b.finish(w1, 10);
  CHECK_FALSE(b.exit_code);  // its commit is under way
  b.feed(event::DeadlineSet{kNever});
  b.commit_all();
  CHECK(b.busy(w1));
}

TEST_CASE("scheduler: costs of finished jobs change the order of what is left") {
  // Kind 1 turns out ten times as long as planned; kind 0 was right in an earlier life.
  History history;
  history.costs = {{0, 5, 5}};
  Bench b({job(6, {}, 1), job(5), job(4.8), job(4, {}, 1)}, {}, history);
  b.join(w1);
  CHECK(b.job_of(w1) == 0);
  b.finish(w1, 60);
  CHECK(b.job_of(w1) == 1);  // nothing is learned before the commit
  b.commit_all();
  b.finish(w1, 5);
  CHECK(b.job_of(w1) == 3);
  CHECK(b.scheduler.estimate(JobIndex(3)).p50 == doctest::Approx(40));
}

TEST_CASE("scheduler: a device whose jobs succeed elsewhere is fenced after two, and gets nothing more") {
  Bench b({job(9), job(8), job(7), job(6), job(5), job(4)});
  b.join(w1);
  b.join(w2);  // the broken one is w1
  const std::uint32_t first = b.job_of(w1);
  b.fail(w1);
  const std::uint32_t second = b.job_of(w1);
  CHECK(second != first);
  b.fail(w1);
  CHECK_FALSE(b.busy(w1));  // held back: two in a row, and another device is there
  for (int i = 0; i < 3; ++i) {
    b.finish(w2);
    b.commit_all();
  }
  REQUIRE(b.fences.size() == 1);
  CHECK(b.fences[0].device == "node/cpu1");
  CHECK_FALSE(b.busy(w1));
  while (!b.exit_code) {
    b.finish(w2);
    b.commit_all();
  }
  CHECK(b.exit_code == 0);
}

TEST_CASE("scheduler: a fenced device is trusted again by hand, at once") {
  History history;
  history.fenced_devices = {"node/cpu1"};
  Bench b({job(1), job(1)}, {}, history);
  b.join(w1);
  CHECK_FALSE(b.busy(w1));
  CHECK(count_of<action::RecordFence>(b.feed(event::Unfence{"no such thing"})) == 0);
  CHECK(count_of<action::RecordFence>(b.feed(event::Unfence{"node/cpu1"})) == 1);
  CHECK(b.busy(w1));
}

TEST_CASE("scheduler: a life in which every device is fenced ends, and says so") {
  History history;
  history.fenced_nodes = {"node"};
  Bench b({job(1)}, {.suspect_after = 1, .lost_after = 100}, history);
  b.join(w1);
  CHECK_FALSE(b.exit_code);  // another may be starting
  b.tick(2);
  CHECK(b.exit_code == 75);
  CHECK(b.reason.find("fenced") != std::string::npos);
}

TEST_CASE("scheduler: a fenced device is never the last one") {
  Bench b({job(4), job(3), job(2), job(1)});
  b.join(w1);
  b.join(w2);
  b.fail(w1);
  b.fail(w1);
  b.feed(event::WorkerGone{w2});
  CHECK(b.busy(w1));  // held back only as long as there is somebody else
}

TEST_CASE(
    "scheduler: failures of earlier lives count, and quarantined jobs stay so until they are tried again by hand") {
  History history;
  history.failures = {{JobIndex(0), 3, "node/cpu1", ErrorClass::crash, "x", false},
                      {JobIndex(0), 4, "node/cpu2", ErrorClass::crash, "x", false},
                      {JobIndex(1), 2, "node/cpu1", ErrorClass::divergence, "NaN", true}};
  Bench b({job(9), job(1), job(1, {1})}, {}, history);
  CHECK(b.status(1).state == JobState::quarantined);
  CHECK(b.status(2).state == JobState::blocked);
  b.join(w3);
  CHECK(b.held[w3].attempt == 5);  // attempts are counted over all lives
  b.fail(w3);
  CHECK(b.status(0).state == JobState::quarantined);
  CHECK(b.exit_code == 10);

  Bench again({job(9), job(1), job(1, {1})}, {}, history);
  CHECK(count_of<action::RecordRetry>(again.feed(event::Retry{JobIndex(1)})) == 1);
  CHECK(again.status(1).state == JobState::ready);
  CHECK(again.status(2).state == JobState::waiting);
  CHECK(again.trouble(1).failures == 0);
}

TEST_CASE("scheduler: losing workers is no failure of their job, until three were lost with it") {
  Bench b({job(9), job(1)});
  b.join(w1);
  b.join(WorkerId(9), "sound");  // has the short job
  for (std::uint32_t w = 1; w <= 3; ++w) {
    if (w > 1) b.join(WorkerId(w));
    REQUIRE(b.job_of(WorkerId(w)) == 0);
    b.feed(event::WorkerGone{WorkerId(w)});
    CHECK(b.trouble(0).failures == 0);
    CHECK(b.trouble(0).losses == w);
    CHECK((b.status(0).state == JobState::quarantined) == (w == 3));
  }
  CHECK(b.failures.back().error == ErrorClass::lost);
  CHECK(b.scheduler.blame().fenced_devices().empty());
  b.finish(WorkerId(9));
  b.commit_all();
  CHECK(b.exit_code == 10);
}

TEST_CASE("scheduler: losses of earlier lives count as losses") {
  History history;
  for (std::uint32_t i = 1; i <= 2; ++i) {
    history.failures.push_back({JobIndex(0), i, "node/cpu" + std::to_string(i), ErrorClass::lost, "x", false});
  }
  Bench b({job(9), job(1)}, {}, history);
  CHECK(b.trouble(0).failures == 0);
  b.join(w3);
  b.join(w1);
  b.feed(event::WorkerGone{w3});
  CHECK(b.status(0).state == JobState::quarantined);
}

TEST_CASE("scheduler: a fenced device that succeeds on trial is trusted again, and that is recorded") {
  History history;
  history.fenced_devices = {"node/cpu1"};
  Bench b({job(9), job(8), job(7)}, {}, history);
  b.join(w1);
  b.join(w2);
  CHECK_FALSE(b.busy(w1));
  b.now = 61;
  b.feed(event::Heartbeat{w2, true, b.held[w2], 1});
  REQUIRE(b.busy(w1));
  b.finish(w1);
  CHECK_FALSE(b.busy(w1));  // until the commit
  b.commit_all();
  CHECK(b.busy(w1));
  REQUIRE(b.fences.size() == 1);
  CHECK_FALSE(b.fences[0].fenced);
}

TEST_CASE("scheduler: a job that has failed goes first, so that blame is settled soon") {
  Bench b({job(9), job(8), job(7), job(1)});
  b.join(w1);
  b.join(w2);
  b.fail(w1);  // job 0
  b.finish(w2);
  CHECK(b.job_of(w2) == 0);
}

}  // namespace guda::orchestrator
