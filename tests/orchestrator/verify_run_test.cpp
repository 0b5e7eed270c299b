#include "orchestrator/verify_run.hpp"

#include <doctest/doctest.h>

#include "common/error.hpp"
#include "tests/support/fake_run.hpp"

namespace guda::orchestrator {
namespace {

std::vector<std::string> faulty_areas(const Verification& v) {
  std::vector<std::string> areas;
  for (const Finding& f : v.findings) {
    if (f.kind == Finding::Kind::fault && (areas.empty() || areas.back() != f.area)) areas.push_back(f.area);
  }
  return areas;
}

/// Repairs, and does again what was lost.
void mend(test::FakeRun& f) {
  {
    RunLock lock(f.run.lock());
    CHECK_FALSE(repair_run(f.run, lock).empty());
  }
  CHECK(verify_run(f.run, false).sound());
  f.live();
  const Verification after = verify_run(f.run, false);
  CHECK_MESSAGE(after.sound(), Json(after).dump(1));
  const auto settled = f.settled();
  CHECK(std::count(settled.begin(), settled.end(), false) == 0);
}

}  // namespace

TEST_CASE("verify: a finished run is sound, and everything in it was looked at") {
  test::FakeRun f;
  f.live();
  const Verification v = verify_run(f.run, false);
  CHECK_MESSAGE(v.sound(), Json(v).dump(1));
  CHECK(v.commits == f.plan.jobs.size());
  std::size_t artifacts = 0;
  for (const auto& job : f.plan.jobs) artifacts += leaves_artifact(job.work) ? 1 : 0;
  CHECK(v.artifacts == artifacts);
  CHECK(v.row_records == f.plan.jobs.size() - artifacts);
  CHECK(v.lives == 1);
}

TEST_CASE("verify: a run that was killed in the middle is sound") {
  test::FakeRun f;
  f.live(7);
  std::filesystem::resize_file(journal_file(f.run.journal(), 1),
                               std::filesystem::file_size(journal_file(f.run.journal(), 1)) - 5);
  std::filesystem::create_directory(f.run.artifacts() / "abc.1234.partial");
  const Verification v = verify_run(f.run, false);
  CHECK(v.sound());
  CHECK(v.findings.size() == 2);  // both are worth knowing
}

TEST_CASE("verify: damage is named by its area, repair and a next life make everything whole") {
  test::FakeRun f;
  f.live();
  const Commit scored = f.commits().at(f.plan.jobs[f.job("score exact")].digest);
  SUBCASE("a record in the middle of the journal") {
    test::flip_bit(journal_file(f.run.journal(), 1), 500);
    CHECK(faulty_areas(verify_run(f.run, false)).front() == "journal");
  }
  SUBCASE("a whole life") {
    f.live();
    std::filesystem::remove(journal_file(f.run.journal(), 1));
    CHECK(faulty_areas(verify_run(f.run, false)).front() == "journal");
    CHECK_THROWS_AS(f.live(), Error);
  }
  SUBCASE("rows") {
    test::flip_bit(f.run.rows() / scored.rows.segment, scored.rows.offset + 57);
    CHECK(faulty_areas(verify_run(f.run, false)) == std::vector<std::string>{"rows"});
  }
  SUBCASE("a whole segment") {
    std::filesystem::remove(f.run.rows() / scored.rows.segment);
    CHECK(faulty_areas(verify_run(f.run, false)) == std::vector<std::string>{"rows"});
  }
  SUBCASE("an artifact") {
    test::flip_bit(f.run.artifacts() / f.plan.jobs[f.job("train full")].digest.hex / "weights.bin", 3);
    CHECK(faulty_areas(verify_run(f.run, false)) == std::vector<std::string>{"artifacts"});
  }
  SUBCASE("a missing view") {
    std::filesystem::remove(f.run.results());
    CHECK(faulty_areas(verify_run(f.run, false)) == std::vector<std::string>{"results"});
  }
  SUBCASE("a number in the view") {
    {
      ResultsFile file = ResultsFile::open(f.run.results());
      const std::vector<float> wrong(1, 1e9F);
      file.write_losses("exact", 3, 1, 3, 1, 1, wrong);
    }
    const Verification v = verify_run(f.run, false);
    CHECK(faulty_areas(v) == std::vector<std::string>{"results"});
  }
  mend(f);
}

TEST_CASE("verify: repair keeps the damaged bytes and says what it did") {
  test::FakeRun f;
  f.live();
  const auto weights = f.run.artifacts() / f.plan.jobs[f.job("train full")].digest.hex;
  test::flip_bit(weights / "weights.bin", 3);
  test::flip_bit(journal_file(f.run.journal(), 1), 500);
  const std::string damaged = read_file(journal_file(f.run.journal(), 1));
  RunLock lock(f.run.lock());
  const auto did = repair_run(f.run, lock);
  CHECK(did.size() >= 3);
  CHECK(read_file(journal_file(f.run.journal(), 1)) == damaged);
  CHECK(std::filesystem::exists(weights.string() + ".damaged"));
  CHECK_FALSE(std::filesystem::exists(weights));
}

TEST_CASE("verify: a plan of another run or none at all is a fault that repair names, not mends") {
  test::FakeRun f;
  f.live();
  jobs::Experiment e = test::small_experiment();
  e.training.steps = 3;
  const jobs::Plan other =
      jobs::make_plan(e, jobs::load_dataset(e.dataset), jobs::Numerics{"cpu", "avx2", "float32", 1});
  replace_file(f.run.plan(), jobs::to_json(other).dump());
  CHECK(faulty_areas(verify_run(f.run, false)).front() == "plan");
  {
    RunLock lock(f.run.lock());
    CHECK_THROWS_WITH_AS(static_cast<void>(repair_run(f.run, lock)), doctest::Contains("plan.json"), Error);
  }
  replace_file(f.run.plan(), "{ half a pl");
  CHECK(faulty_areas(verify_run(f.run, false)) == std::vector<std::string>{"plan"});
}

}  // namespace guda::orchestrator
