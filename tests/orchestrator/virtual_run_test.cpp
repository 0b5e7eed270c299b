#include "orchestrator/virtual_run.hpp"

#include <doctest/doctest.h>

#include "orchestrator/synthetic_jobs.hpp"

namespace guda::orchestrator {
namespace {
JobNode job(double cost, std::vector<std::uint32_t> inputs = {}) {
  JobNode node{cost, {}};
  for (const auto i : inputs) node.inputs.emplace_back(i);
  return node;
}
}  // namespace

TEST_CASE("virtual run: longest first keeps the makespan at the bound where the shortest first would not") {
  const HugeVector<JobNode> jobs{job(1), job(1), job(1), job(1), job(4)};
  const VirtualRun run = run_virtually(jobs, std::vector<bool>(5, false), {.workers = 2});
  CHECK(run.makespan == doctest::Approx(4));
  CHECK(run.utilisation == doctest::Approx(1));
}

TEST_CASE("virtual run: 60 styles on 64 GPUs end within 5 % of the bound, sooner than first come, first served") {
  double longest_first = 0, blind = 0;
  constexpr int kWorlds = 8;
  for (int world = 0; world < kWorlds; ++world) {
    const auto jobs = synthetic_jobs(60 * (1 + kBlocksOfStyle), 600, 0.5, true, static_cast<std::uint64_t>(world));
    const std::vector<bool> none(jobs.size(), false);
    auto unknown = jobs;
    VirtualOptions equal{.workers = 64};
    for (auto& job : unknown) {
      equal.seconds.push_back(job.cost);
      job.cost = 600;
    }
    const double bound = makespan_bound(jobs, 64);
    const double ratio = run_virtually(jobs, none, {.workers = 64}).makespan / bound;
    CHECK(ratio >= 1);
    CHECK(ratio <= 1.05);
    longest_first += ratio / kWorlds;
    blind += run_virtually(unknown, none, equal).makespan / bound / kWorlds;
  }
  MESSAGE("makespan / bound: longest first ", longest_first, ", first come, first served ", blind);
  CHECK(longest_first < blind);
}

TEST_CASE("virtual run: the bound is the work shared out, or the longest chain") {
  const HugeVector<JobNode> jobs{job(2), job(3, {0}), job(1, {1}), job(4)};
  CHECK(makespan_bound(jobs, 1) == doctest::Approx(10));
  CHECK(makespan_bound(jobs, 8) == doctest::Approx(6));
}

TEST_CASE("virtual run: a chain takes its length whatever the number of workers") {
  CHECK(run_virtually({job(2), job(3, {0}), job(1, {1})}, {false, false, false}, {.workers = 8}).makespan ==
        doctest::Approx(6));
}

TEST_CASE("virtual run: what is committed costs nothing") {
  CHECK(run_virtually({job(2), job(3, {0})}, {true, false}, {.workers = 1}).makespan == doctest::Approx(3));
  CHECK(run_virtually({job(2)}, {true}, {.workers = 1}).makespan == 0);
}

TEST_CASE("virtual run: equal seeds give equal worlds, and failures cost what they lose") {
  const HugeVector<JobNode> jobs(200, job(10));
  const std::vector<bool> none(200, false);
  const VirtualOptions rough{.workers = 8, .workers_per_node = 4, .spread = 0.5, .failures = 0.1, .seed = 3};
  const VirtualRun a = run_virtually(jobs, none, rough), b = run_virtually(jobs, none, rough);
  CHECK(a.makespan == b.makespan);
  CHECK(a.failures == b.failures);
  CHECK(a.failures > 0);
  CHECK(a.finished);
  CHECK(a.lost_seconds > 0);
  CHECK(a.makespan > run_virtually(jobs, none, {.workers = 8}).makespan);
}

TEST_CASE("virtual run: crashes by chance fence nobody for long") {
  const HugeVector<JobNode> jobs(10'000, job(10));
  for (const std::uint32_t per_node : {1U, 10U}) {
    for (std::uint64_t seed = 1; seed <= 5; ++seed) {
      const VirtualRun run =
          run_virtually(jobs, std::vector<bool>(jobs.size(), false),
                        {.workers = 10, .workers_per_node = per_node, .failures = 0.01, .seed = seed});
      CHECK(run.finished);
      CHECK(run.quarantined == 0);
      CHECK(run.utilisation_before_tail >= 0.98);
    }
  }
}

TEST_CASE("virtual run: a device that fails everything costs a handful of jobs") {
  const HugeVector<JobNode> jobs(10'000, job(10));
  for (const double failures : {0.0, 0.01}) {
    const VirtualRun run = run_virtually(jobs, std::vector<bool>(jobs.size(), false),
                                         {.workers = 10, .failures = failures, .broken_worker = 1, .seed = 7});
    CHECK(run.finished);
    CHECK(run.quarantined == 0);
    CHECK(run.broken_failures >= 3);  // two, and at least one trial
    CHECK(run.broken_failures <= 12);
    CHECK(run.utilisation_before_tail >= 0.98 * 0.9);  // of nine sound workers of ten
  }
}

TEST_CASE("virtual run: a walltime ends lives; jobs with checkpoints go on, a job that never fits is noticed") {
  const HugeVector<JobNode> jobs{job(100), job(100), job(100)};
  const std::vector<bool> none(3, false);
  const VirtualRun cut = run_virtually(jobs, none, {.workers = 1, .life = 150, .requeue = 20});
  CHECK(cut.finished);
  CHECK(cut.lives == 3);
  const VirtualRun never = run_virtually(jobs, none, {.workers = 1, .life = 50, .requeue = 20});
  CHECK_FALSE(never.finished);
}

}  // namespace guda::orchestrator
