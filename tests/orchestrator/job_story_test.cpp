#include "orchestrator/job_story.hpp"

#include <doctest/doctest.h>

#include "orchestrator/retry.hpp"
#include "tests/support/fake_run.hpp"

namespace guda::orchestrator {
namespace {

JobStory story_of(const test::FakeRun& f, std::size_t job, bool alive = false) {
  const JournalContent journal = f.journal();
  std::optional<RunStatus> status;
  if (alive) {
    status.emplace();
    status->epoch = journal.last_epoch;
  }
  return tell_job(f.plan, {journal, f.settled(), status, alive}, job);
}

void fail(RunStore& store, const test::FakeRun& f, std::size_t job, std::uint32_t attempt, bool quarantined) {
  store.add_lease(JobIndex(static_cast<std::uint32_t>(job)), attempt, "rank 2 (n2/gpu1)", "n2/gpu1");
  store.add_failure({{"job", f.plan.jobs[job].digest.hex},
                     {"label", f.plan.jobs[job].label},
                     {"attempt", attempt},
                     {"worker", "rank 2 (n2/gpu1)"},
                     {"device", "n2/gpu1"},
                     {"error", "crash"},
                     {"text", "worker killed by signal 11"},
                     {"quarantined", quarantined},
                     {"cure", quarantined ? "more memory" : ""}});
}

}  // namespace

TEST_CASE("job story: a waiting job names what it waits for, a ready one says that nobody is at work") {
  test::FakeRun f;
  const JobStory scored = story_of(f, f.job("score exact"));
  CHECK(scored.state == "waiting");
  REQUIRE_FALSE(scored.open_inputs.empty());
  CHECK(scored.why.find(scored.open_inputs[0]) != std::string::npos);
  const JobStory train = story_of(f, f.job("train full"));
  CHECK(train.state == "ready");
  CHECK(train.why.find("guda run") != std::string::npos);
  CHECK_FALSE(train.users.empty());
}

TEST_CASE("job story: a gang's members are named, and the one that failed") {
  test::FakeRun f;
  const std::size_t job = f.job("train full");
  {
    RunStore store(f.run, f.plan, 1);
    store.add_lease(JobIndex(static_cast<std::uint32_t>(job)), 1, "rank 1 (n2/cpu1)", "n2/cpu1",
                    {"rank 1 (n2/cpu1)", "rank 2 (n2/cpu2)"});
    store.add_failure({{"job", f.plan.jobs[job].digest.hex},
                       {"attempt", 1},
                       {"worker", "rank 2 (n2/cpu2)"},
                       {"device", "n2/cpu2"},
                       {"error", "crash"},
                       {"text", "worker killed by signal 9"}});
    static_cast<void>(store.sync());
  }
  const JobStory story = story_of(f, job);
  REQUIRE(story.attempts.size() == 1);
  CHECK(story.attempts[0].members == std::vector<std::string>{"rank 1 (n2/cpu1)", "rank 2 (n2/cpu2)"});
  CHECK(story.attempts[0].worker == "rank 2 (n2/cpu2)");
  CHECK(Json(story).at("attempts").at(0).at("members").size() == 2);
}

TEST_CASE("job story: a finished job says how much memory it had") {
  test::FakeRun f;
  const std::size_t job = f.job("train full");
  {
    RunStore store(f.run, f.plan, 1);
    const Json metrics{{"peak_memory_bytes", 5'000'000'000}, {"peak_device_bytes", 70}};
    store.add(JobIndex(static_cast<std::uint32_t>(job)),
              {f.plan.jobs[job].digest, 1, "rank 1 (n2/gpu1)", "n2/gpu1", 0.5, {}, metrics, 0}, {});
    static_cast<void>(store.sync());
  }
  const Json story = story_of(f, job);
  CHECK(story.at("peak_memory_bytes") == 5'000'000'000);
  CHECK(story.at("peak_device_bytes") == 70);
}

TEST_CASE("job story: every attempt is told with worker, device, node and cause") {
  test::FakeRun f;
  const std::size_t job = f.job("train full");
  {
    RunStore store(f.run, f.plan, 1);
    RowSegmentWriter segment(f.run.rows() / "0001-1.seg");
    fail(store, f, job, 1, false);
    f.do_job(store, segment, job);
    static_cast<void>(store.sync());
    store.add_late(JobIndex(static_cast<std::uint32_t>(job)), 1, "rank 2 (n2/gpu1)", {}, {{"loss", 0.5}});
    static_cast<void>(store.sync());
  }
  const JobStory story = story_of(f, job);
  CHECK(story.state == "done");
  REQUIRE(story.attempts.size() == 3);
  CHECK(story.attempts[0].outcome == "failed");
  CHECK(story.attempts[0].node == "n2");
  CHECK(story.attempts[0].cause == "crash");
  CHECK(story.attempts[0].text == "worker killed by signal 11");
  CHECK(story.attempts[0].started > 1e9);
  CHECK(story.attempts[1].outcome == "done");
  CHECK(story.attempts[1].worker == "rank 1 (node/cpu1)");
  CHECK(story.attempts[2].outcome == "late");
  CHECK(story.attempts[2].cause == "equal");
  CHECK(story.seconds == 0.5);
}

TEST_CASE("job story: a job that runs is told so while its life is at work, and lost when that is over") {
  test::FakeRun f;
  const std::size_t job = f.job("train full");
  RunStore store(f.run, f.plan, 1);
  store.add_lease(JobIndex(static_cast<std::uint32_t>(job)), 1, "rank 1 (node/cpu1)", "node/cpu1");
  store.write();
  CHECK(story_of(f, job, true).state == "running");
  const JobStory dead = story_of(f, job, false);
  CHECK(dead.state == "ready");
  REQUIRE(dead.attempts.size() == 1);
  CHECK(dead.attempts[0].outcome == "lost");
}

TEST_CASE("job story: a job that was given up blocks its readers until a person asks for another try") {
  test::FakeRun f;
  const std::size_t job = f.job("unlearn retrack_exact -3");
  {
    RunStore store(f.run, f.plan, 1);
    fail(store, f, job, 1, true);
    static_cast<void>(store.sync());
  }
  CHECK(story_of(f, job).state == "quarantined");
  CHECK(story_of(f, job).why.find("Cure: more memory; then guda retry") != std::string::npos);
  const std::size_t reader = f.job("score exact -3");
  CHECK(story_of(f, reader).state == "blocked");
  RunLock lock(f.run.lock());
  ControlRequest request;
  request.kind = ControlRequest::Kind::retry;
  request.jobs = {f.plan.jobs[job].digest};
  request.unfence = {"n2/gpu1", "n2"};
  request.by = "me@here";
  note_retry(f.run, f.plan, lock, request);
  CHECK(f.journal().sound());
  CHECK(story_of(f, job).state == "waiting");
  CHECK(story_of(f, reader).state == "waiting");
  const RunStore next(f.run, f.plan, f.journal().last_epoch + 1);
  CHECK(next.history().fenced_devices.empty());
}

TEST_CASE("job story: jobs are found by digest, label or a part of it") {
  const jobs::Plan plan = test::small_plan();
  CHECK(find_jobs(plan, plan.jobs[4].digest.hex) == std::vector<std::size_t>{4});
  CHECK(find_jobs(plan, plan.jobs[4].digest.hex.substr(0, 12)) == std::vector<std::size_t>{4});
  CHECK(find_jobs(plan, plan.jobs[0].label) == std::vector<std::size_t>{0});
  CHECK(find_jobs(plan, "unlearn retrack_exact").size() == plan.groups.size());
  CHECK(find_jobs(plan, "no such job").empty());
}

}  // namespace guda::orchestrator
