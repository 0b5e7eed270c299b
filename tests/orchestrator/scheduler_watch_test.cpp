#include <doctest/doctest.h>

#include <algorithm>
#include <string>

#include "orchestrator/scheduler.hpp"
#include "tests/support/scheduler_bench.hpp"

namespace guda::orchestrator {
namespace {

using test::count_of;
using test::job;
using Bench = test::SchedulerBench;

const WorkerId w1(1), w2(2);

}  // namespace

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
  CHECK(b.scheduler.trouble(JobIndex(0)).failures == 1);
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

TEST_CASE("scheduler: the no-progress limit grows to five times the way to the next checkpoint") {
  // 1000 s without checkpoints: five times that; with them a tenth of it counts.
  for (const bool checkpoints : {false, true}) {
    Bench b({job(1000, {}, 0, checkpoints)}, {.suspect_after = 1e9, .lost_after = 2e9, .no_progress_after = 50});
    b.join(w1);
    const double limit = checkpoints ? 500 : 5000;
    b.tick(limit - 1);
    CHECK(b.status(0).attempt == 1);
    b.tick(2);
    CHECK(b.trouble(0).failures == 1);
  }
}

TEST_CASE("scheduler: what a worker says of its next checkpoint decides the no-progress limit") {
  for (const double checkpoint_in : {0.0, 4.0, 30.0, 300.0}) {
    // 1000 s with checkpoints: predicted in 100 s, so 500 s without a word of its worker.
    Bench b({job(1000, {}, 0, true)}, {.suspect_after = 1e9, .lost_after = 2e9, .no_progress_after = 50});
    b.join(w1);
    b.now = 10;
    b.feed(event::Heartbeat{w1, true, b.held[w1], 1, checkpoint_in});
    const double limit = checkpoint_in > 0 ? std::max(50.0, 5 * checkpoint_in) : 500;
    b.tick(limit - 1);
    CHECK(b.trouble(0).failures == 0);
    b.tick(2);
    CHECK(b.trouble(0).failures == 1);
  }
}

}  // namespace guda::orchestrator
