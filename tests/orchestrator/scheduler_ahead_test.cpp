// Short jobs that are given to workers before they ask for them.
#include <doctest/doctest.h>

#include "tests/support/scheduler_bench.hpp"

namespace guda::orchestrator {
namespace {

using test::job;
using test::SchedulerBench;

constexpr WorkerId a(1), b(2);
const SchedulerConfig kTwoAhead{.ahead = 2};

std::vector<std::uint32_t> ahead_of(const SchedulerBench& bench, WorkerId w) {
  std::vector<std::uint32_t> jobs;
  for (const Lease& lease : bench.scheduler.workers().at(w).ahead) jobs.push_back(lease.job);
  return jobs;
}

}  // namespace

TEST_CASE(
    "scheduler, ahead: a worker at a short job gets more of them, no more than it may, and works them off in order") {
  SchedulerBench bench(HugeVector<JobNode>(5, job(1e-3)), kTwoAhead);
  CHECK(test::count_of<action::Assign>(bench.join(a)) == 3);
  const auto ahead = ahead_of(bench, a);
  REQUIRE(ahead.size() == 2);
  const std::uint32_t first = bench.job_of(a);
  bench.feed(event::Finished{a, {first, 1}, 1e-3});
  CHECK(bench.job_of(a) == ahead[0]);
  CHECK(ahead_of(bench, a).size() == 2);  // the place that became free was filled
}

TEST_CASE("scheduler, ahead: the likely next job is the one behind as many ready ones as there are other workers") {
  SchedulerBench bench({job(10), job(9), job(8), job(7)}, SchedulerConfig{});
  CHECK_FALSE(bench.scheduler.likely_next().has_value());
  bench.join(a);
  CHECK(bench.scheduler.likely_next() == JobIndex(1));
  bench.join(b);
  CHECK(bench.scheduler.likely_next() == JobIndex(3));
  bench.feed(event::Finished{a, {0, 1}, 10});
  CHECK_FALSE(bench.scheduler.likely_next().has_value());  // the last one is b's, if nothing comes between
}

TEST_CASE("scheduler, ahead: jobs that are not short wait for whoever is idle first") {
  SchedulerBench bench(HugeVector<JobNode>(4, job(5)), kTwoAhead);
  CHECK(test::count_of<action::Assign>(bench.join(a)) == 1);
  CHECK(ahead_of(bench, a).empty());
}

TEST_CASE("scheduler, ahead: a short job is not put behind a long one") {
  SchedulerBench bench({job(100), job(1e-3), job(1e-3)}, kTwoAhead);
  bench.join(a);
  CHECK(bench.job_of(a) == 0);
  CHECK(ahead_of(bench, a).empty());
}

TEST_CASE("scheduler, ahead: idle workers come first") {
  SchedulerBench bench(HugeVector<JobNode>(2, job(1e-3)), SchedulerConfig{});
  bench.join(b);
  SchedulerBench both(HugeVector<JobNode>(4, job(1e-3)), kTwoAhead);
  both.join(a);  // takes three
  both.join(b);
  CHECK(both.busy(b));
  CHECK(ahead_of(both, b).empty());
}

TEST_CASE("scheduler, ahead: what a lost worker had not begun is ready again and blames nobody") {
  SchedulerBench bench(HugeVector<JobNode>(3, job(1e-3)), kTwoAhead);
  bench.join(a);
  bench.join(b);  // nothing is left for it
  const std::uint32_t running = bench.job_of(a);
  bench.feed(event::WorkerGone{a});
  REQUIRE(bench.failures.size() == 1);
  CHECK(bench.failures[0].lease.job == running);
  CHECK(bench.scheduler.workers().at(b).ahead.size() == 2);
  for (const std::uint32_t j : {0U, 1U, 2U}) CHECK(bench.trouble(j).losses == (j == running ? 1U : 0U));
}

TEST_CASE("scheduler, ahead: a device error takes the rest back with the restart; a result from before it is dropped") {
  SchedulerBench bench(HugeVector<JobNode>(3, job(1e-3)), kTwoAhead);
  bench.join(a);
  const Lease first{bench.job_of(a), 1}, second{ahead_of(bench, a)[0], 1};
  const auto actions = bench.feed(event::Failed{a, first, ErrorClass::device, "sticky"});
  CHECK(test::count_of<action::RestartWorker>(actions) == 1);
  CHECK(bench.failures.size() == 1);
  CHECK(test::count_of<action::DropLate>(bench.feed(event::Finished{a, second, 1e-3})) == 1);
}

TEST_CASE("scheduler, ahead: a stop cancels everything that a worker has, and all of it may come back") {
  SchedulerBench bench(HugeVector<JobNode>(3, job(1e-3)), kTwoAhead);
  bench.join(a);
  const std::uint32_t running = bench.job_of(a);
  const auto ahead = ahead_of(bench, a);
  CHECK(test::count_of<action::Cancel>(bench.feed(event::StopRequested{})) == 3);
  for (const std::uint32_t j : ahead) bench.feed(event::Returned{a, {j, 1}});
  CHECK_FALSE(bench.exit_code);
  bench.feed(event::Returned{a, {running, 1}});
  CHECK(bench.exit_code == 75);
  CHECK(bench.failures.empty());
}

TEST_CASE("scheduler, ahead: a job that waits behind another is not taken for one without progress") {
  SchedulerConfig config = kTwoAhead;
  config.suspect_after = 1e5;
  config.lost_after = 1e6;
  config.no_progress_after = 10;
  SchedulerBench bench(HugeVector<JobNode>(3, job(1e-3)), config);
  bench.join(a);
  const std::uint32_t running = bench.job_of(a);
  for (int i = 1; i <= 5; ++i) {
    bench.now += 8;
    bench.feed(event::Heartbeat{a, true, {running, 1}, static_cast<std::uint64_t>(i)});
    bench.tick(0);
  }
  CHECK(bench.failures.empty());
  CHECK(bench.job_of(a) == running);
}

}  // namespace guda::orchestrator
