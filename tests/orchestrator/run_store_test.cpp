#include "orchestrator/run_store.hpp"

#include <doctest/doctest.h>

#include <thread>

#include "common/error.hpp"
#include "tests/support/fake_run.hpp"

namespace guda::orchestrator {
namespace {

std::vector<JournalRecord> records_of(const JournalContent& journal, RecordType type) {
  std::vector<JournalRecord> found;
  for (const JournalRecord& record : journal.records) {
    if (record.type == type) found.push_back(record);
  }
  return found;
}

}  // namespace

TEST_CASE("run store: a commit whose rows are damaged is done again once, and counts then") {
  test::FakeRun f;
  f.live();
  const std::size_t score = f.job("score exact");
  const Commit commit = f.commits().at(f.plan.jobs[score].digest);
  test::flip_bit(f.run.rows() / commit.rows.segment, commit.rows.offset + 60);
  {
    RunStore store(f.run, f.plan, 2);
    CHECK_FALSE(store.settled()[score]);
    CHECK(std::count(store.settled().begin(), store.settled().end(), false) == 1);
    const auto notes = store.take_notes();
    REQUIRE(notes.size() == 1);
    CHECK(notes[0].find("1 finished jobs") != std::string::npos);
    RowSegmentWriter segment(f.run.rows() / "0002-1.seg");
    f.do_job(store, segment, score);
    CHECK(store.sync().size() == 1);
    store.end("test", 0);
  }
  CHECK(f.commits().at(f.plan.jobs[score].digest).rows.segment == "0002-1.seg");
  RunStore next(f.run, f.plan, 3);
  CHECK(next.settled()[score]);
  CHECK(next.take_notes().empty());
}

TEST_CASE("run store: damage in the journal is said once, and only what was lost is done again") {
  test::FakeRun f;
  f.live();
  const std::string bytes = read_file(journal_file(f.run.journal(), 1));
  test::flip_bit(journal_file(f.run.journal(), 1), bytes.size() / 2);
  {
    RunStore store(f.run, f.plan, 2);
    CHECK(std::count(store.settled().begin(), store.settled().end(), false) <= 1);
    CHECK_FALSE(store.take_notes().empty());
  }
  RunStore next(f.run, f.plan, 3);
  CHECK(next.take_notes().empty());
  CHECK(f.journal().sound());
}

TEST_CASE("run store: a journal of another plan is refused") {
  test::FakeRun f;
  f.live(5);
  const jobs::Plan other = [] {
    jobs::Experiment e = test::small_experiment();
    e.training.steps = 3;
    return jobs::make_plan(e, jobs::load_dataset(e.dataset), jobs::Numerics{"cpu", "avx2", "float32", 1});
  }();
  CHECK_THROWS_WITH_AS(RunStore(f.run, other, 2), doctest::Contains("another run"), Error);
}

TEST_CASE("run store: a stale owner leaves at its next commit and what it had not synced never counts") {
  test::FakeRun f;
  RunStore stale(f.run, f.plan, 1);
  RowSegmentWriter segment(f.run.rows() / "0001-1.seg");
  f.do_job(stale, segment, 0);
  RunStore successor(f.run, f.plan, 2);
  CHECK_THROWS_WITH_AS(static_cast<void>(stale.sync()), doctest::Contains("life 2 has taken over"), Error);
  CHECK(f.commits().empty());
  CHECK_THROWS_AS(RunStore(f.run, f.plan, 2), IoError);
}

TEST_CASE("run store: a late result is compared with the committed one, whichever comes first") {
  test::FakeRun f;
  f.live();
  RowSegmentWriter segment(f.run.rows() / "0002-9.seg");
  const std::size_t score = f.job("score logo");
  const jobs::JobSpec& job = f.plan.jobs[score];
  RunStore store(f.run, f.plan, 2);
  const RowsRef equal = test::fake_work(f.run, f.plan, job, segment);
  std::vector<float> other(read_row_record(f.run.rows(), equal).losses);
  other[0] += 0.5F;
  const auto* spec = std::get_if<jobs::ScoreSpec>(&job.work);
  const RowsRef different =
      segment.append(job.digest, spec->count, static_cast<std::uint32_t>(spec->slots.size()), other);
  const JobIndex index(static_cast<std::uint32_t>(score));
  store.add_late(index, 1, "rank 1", equal, {{"loss", 0.5}, {"seconds", 99}});
  CHECK(store.take_notes().empty());
  store.add_late(index, 2, "rank 2", different, {{"loss", 0.5}});
  store.add_late(index, 3, "rank 3", {"gone.seg", 0, 60, 0}, {{"loss", 0.5}});
  store.add_late(index, 4, "rank 4", equal, {{"loss", 0.75}});
  static_cast<void>(store.sync());
  const auto notes = store.take_notes();
  REQUIRE(notes.size() == 2);
  CHECK(notes[0].find("rank 2") != std::string::npos);
  const auto duplicates = records_of(f.journal(), RecordType::duplicate);
  REQUIRE(duplicates.size() == 4);
  CHECK(duplicates[0].body.at("verdict") == "equal");
  CHECK(duplicates[1].body.at("verdict") == "different");
  CHECK(duplicates[1].body.at("max_difference") == 0.5);
  CHECK(duplicates[2].body.at("verdict") == "unknown");
  CHECK(duplicates[3].body.at("verdict") == "different");
}

TEST_CASE("run store: a result that is late before anything is committed waits for the commit") {
  test::FakeRun f;
  RunStore store(f.run, f.plan, 1);
  RowSegmentWriter segment(f.run.rows() / "0001-1.seg");
  const std::size_t attribute = f.job("attribute random");
  const RowsRef early = test::fake_work(f.run, f.plan, f.plan.jobs[attribute], segment);
  store.add_late(JobIndex(static_cast<std::uint32_t>(attribute)), 1, "rank 2", early, {{"loss", 0.5}});
  f.do_job(store, segment, attribute);
  CHECK(store.sync().size() == 1);
  static_cast<void>(store.sync());
  const auto duplicates = records_of(f.journal(), RecordType::duplicate);
  REQUIRE(duplicates.size() == 1);
  CHECK(duplicates[0].body.at("verdict") == "equal");
}

TEST_CASE("run store: an artifact job that runs again is compared with its first result") {
  test::FakeRun f;
  f.live();
  RunStore store(f.run, f.plan, 2);
  RowSegmentWriter segment(f.run.rows() / "0002-1.seg");
  f.do_job(store, segment, f.job("train full"));
  CHECK(store.sync().size() == 1);
  static_cast<void>(store.sync());
  const auto duplicates = records_of(f.journal(), RecordType::duplicate);
  REQUIRE(duplicates.size() == 1);
  CHECK(duplicates[0].body.at("why") == "repeated");
  CHECK(duplicates[0].body.at("verdict") == "equal");
}

TEST_CASE("run store: rows that become visible late are waited for, not done again") {
  test::FakeRun f;
  f.live();
  const auto segment = f.run.rows() / "1-1.seg";
  std::filesystem::rename(segment, f.run.folder / "hidden");
  std::jthread server([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(400));
    std::filesystem::rename(f.run.folder / "hidden", segment);
  });
  RunStore store(f.run, f.plan, 2, "", 20);
  CHECK(std::count(store.settled().begin(), store.settled().end(), false) == 0);
  CHECK(store.take_notes().empty());
}

TEST_CASE("run store: results.h5 that is missing, torn or stale is made anew from journal and rows") {
  test::FakeRun f;
  f.live();
  const ResultsTable before = read_results(f.run.results());
  for (const char* how : {"missing", "torn", "stale", "foreign"}) {
    CAPTURE(how);
    const std::string kind = how;
    if (kind == "missing") std::filesystem::remove(f.run.results());
    if (kind == "torn") std::filesystem::resize_file(f.run.results(), std::filesystem::file_size(f.run.results()) / 3);
    if (kind == "stale") static_cast<void>(rebuild_results(f.run, f.plan, {}));
    if (kind == "foreign") std::ofstream(f.run.results()) << "not HDF5";
    CHECK_FALSE(compare_view(f.run, f.plan, f.commits(), false).empty());
    {
      const RunStore store(f.run, f.plan, f.journal().last_epoch + 1);
    }
    CHECK(compare_view(f.run, f.plan, f.commits(), false).empty());
    CHECK(read_results(f.run.results()).status == before.status);
  }
}

}  // namespace guda::orchestrator
