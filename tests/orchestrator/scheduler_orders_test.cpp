// Events race: messages of a worker that is thought dead, its replacement, a commit, a stop. Every order of them is
// tried.
#include <doctest/doctest.h>

#include <functional>
#include <numeric>

#include "tests/support/scheduler_bench.hpp"

namespace guda::orchestrator {
namespace {

using test::job;
using Bench = test::SchedulerBench;

const WorkerId w1(1), w2(2), w3(3);
using Step = std::function<void(Bench&, const Lease&)>;

/// Runs every order of `steps`, each on a fresh bench on which w1 holds the first lease; then whatever is left to its
/// end.
std::size_t every_order(const std::vector<Step>& steps, const SchedulerConfig& config,
                        const std::function<void(const Bench&)>& check) {
  std::vector<std::size_t> order(steps.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::size_t orders = 0;
  do {
    Bench b({job(3), job(2), job(1, {0}), job(1, {0, 1})}, config);
    b.join(w1);
    const Lease first = b.held[w1];
    for (const std::size_t i : order) steps[i](b, first);
    b.commit_all();
    // A healthy newcomer must be able to finish what the race left over.
    if (!b.exit_code) b.join(w3, "other");
    for (int turn = 0; turn < 200 && !b.exit_code; ++turn) {
      b.now += 10;
      b.feed(event::Heartbeat{w3, b.busy(w3), b.scheduler.workers().at(w3).lease.value_or(Lease{}),
                              static_cast<std::uint64_t>(turn)});
      b.feed(event::Tick{});
      if (!b.exit_code && b.busy(w3)) b.finish(w3);
      b.commit_all();
    }
    REQUIRE(b.exit_code);
    for (const auto& [j, times] : b.committed) REQUIRE(times == 1);
    check(b);
    ++orders;
  } while (std::next_permutation(order.begin(), order.end()));
  return orders;
}

void lost(Bench& b, const Lease&) { b.feed(event::WorkerGone{w1}); }
void late_done(Bench& b, const Lease& first) { b.feed(event::Finished{w1, first, 1}); }
void heartbeat(Bench& b, const Lease& first) { b.feed(event::Heartbeat{w1, true, first, 3}); }
void failed(Bench& b, const Lease& first) { b.feed(event::Failed{w1, first, ErrorClass::crash, "x"}); }
void returned(Bench& b, const Lease& first) { b.feed(event::Returned{w1, first}); }
void newcomer(Bench& b, const Lease&) { b.join(w2); }
void commit(Bench& b, const Lease&) { b.commit_all(); }
void silence(Bench& b, const Lease&) { b.tick(130); }
void refused(Bench& b, const Lease&) {
  if (b.pending.empty()) return;
  const JobIndex j = b.pending.back();
  b.pending.pop_back();
  b.feed(event::CommitRefused{j, "short read"});
}
void by_hand(Bench& b, const Lease& first) { b.feed(event::Retry{JobIndex(first.job)}); }
void deadline_passes(Bench& b, const Lease&) { b.feed(event::DeadlineSet{b.now}); }
void deadline_lifted(Bench& b, const Lease&) { b.feed(event::DeadlineSet{kNever}); }
void stop(Bench& b, const Lease&) { b.feed(event::StopRequested{}); }
void drain(Bench& b, const Lease&) { b.feed(event::DrainRequested{}); }

}  // namespace

TEST_CASE("every order: a worker's loss, its late result, failure and heartbeat, a newcomer, a commit and a silence") {
  CHECK(every_order({lost, late_done, failed, heartbeat, newcomer, commit, silence}, {},
                    [](const Bench& b) { CHECK((b.exit_code == 0 || (b.exit_code == 75 && !b.planned))); }) == 5040);
}

TEST_CASE("every order: a result that can't be read, twice reported, a hand-back, a person's retry") {
  CHECK(every_order({late_done, late_done, refused, returned, by_hand, newcomer, lost}, {},
                    [](const Bench& b) { CHECK((b.exit_code == 0 || (b.exit_code == 75 && !b.planned))); }) == 5040);
}

TEST_CASE("every order: a deadline that comes and goes among failures never loses a job") {
  CHECK(every_order({deadline_passes, deadline_lifted, failed, newcomer, late_done, commit, silence}, {},
                    [](const Bench& b) { CHECK((b.exit_code == 0 || b.exit_code == 75)); }) == 5040);
}

TEST_CASE(
    "every order: a stop and a drain among results end the life with what is committed, and count no failure after the "
    "stop") {
  CHECK(every_order({stop, drain, late_done, returned, failed, newcomer, commit}, {}, [](const Bench& b) {
          CHECK((b.exit_code == 0 || b.exit_code == 75));
          if (b.exit_code == 75) CHECK(b.planned);
        }) == 5040);
}

}  // namespace guda::orchestrator
