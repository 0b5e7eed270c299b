#include "orchestrator/retention.hpp"

#include <doctest/doctest.h>

#include <set>

#include "orchestrator/garbage.hpp"
#include "tests/support/fake_run.hpp"

namespace guda::orchestrator {
namespace {

std::set<std::string> kinds_on_disk(const test::FakeRun& f) {
  std::set<std::string> kinds;
  for (const jobs::JobSpec& job : f.plan.jobs) {
    if (std::filesystem::exists(f.run.artifacts() / job.digest.hex)) kinds.insert(jobs::kind_of(job.work));
  }
  return kinds;
}

jobs::Plan keeping(const std::string& keep) {
  jobs::Plan plan = test::small_plan();
  plan.experiment.retention.keep = keep;
  return plan;
}

}  // namespace

TEST_CASE("retention: each policy keeps what it says, and nothing of a complete run is done again for it") {
  const std::pair<std::string, std::set<std::string>> policies[] = {{"scores", {}},
                                                                    {"queries+scores", {"sample"}},
                                                                    {"weights", {"sample", "train"}},
                                                                    {"all", {"sample", "train", "unlearn"}}};
  for (const auto& [keep, kinds] : policies) {
    CAPTURE(keep);
    test::FakeRun f(keeping(keep));
    f.live();
    apply_retention(f.run, f.plan, f.settled());
    CHECK(kinds_on_disk(f) == kinds);
    const auto settled = f.settled();
    CHECK(std::count(settled.begin(), settled.end(), false) == 0);
    CHECK(apply_retention(f.run, f.plan, settled).artifacts == 0);
  }
}

TEST_CASE("retention: the previews that `guda report` shows stay with the query pictures") {
  jobs::JobSpec preview;
  preview.work = jobs::SampleSpec{.set = {.name = jobs::kPreviewSet}};
  CHECK(artifact_kept(preview, "weights"));
  CHECK(artifact_kept(preview, "queries+scores"));
  CHECK_FALSE(artifact_kept(preview, "scores"));
}

TEST_CASE("retention: what an open job reads stays, whatever the policy") {
  test::FakeRun f(keeping("scores"));
  f.live(f.plan.jobs.size() - 1);  // the last job is open
  const jobs::JobSpec& open = f.plan.jobs.back();
  REQUIRE_FALSE(open.inputs.empty());
  apply_retention(f.run, f.plan, f.settled());
  for (const Digest& input : open.inputs) CHECK(std::filesystem::exists(f.run.artifacts() / input.hex));
}

TEST_CASE("garbage: orphans, halves and unreferenced rows are found, nothing that counts is") {
  test::FakeRun f(keeping("all"));
  f.live();
  CHECK(find_garbage(f.run, f.plan, f.journal(), f.settled()).empty());
  const auto before = f.commits();
  std::filesystem::create_directory(f.run.artifacts() / "00000000000000000000000000000000");
  std::ofstream(f.run.artifacts() / "00000000000000000000000000000000" / "x") << "12345";
  std::filesystem::create_directory(f.run.artifacts() / "abc.77.partial");
  std::ofstream(f.run.folder / "status.json.77.partial") << "{";
  std::ofstream(f.run.rows() / "0009-1.seg") << "rows of a life that committed nothing";
  const auto garbage = find_garbage(f.run, f.plan, f.journal(), f.settled());
  CHECK(garbage.size() == 4);
  std::uint64_t bytes = 0;
  for (const Garbage& item : garbage) {
    bytes += item.bytes;
    remove_garbage(item);
    CHECK_FALSE(std::filesystem::exists(item.path));
  }
  CHECK(bytes == 5 + 1 + 37);
  CHECK(find_garbage(f.run, f.plan, f.journal(), f.settled()).empty());
  CHECK(compare_view(f.run, f.plan, before, false).empty());
}

TEST_CASE("garbage: checkpoints of a finished job are found, those of an open one are not") {
  test::FakeRun f;
  f.live(1);
  for (const std::size_t job : {0, 1}) {
    const auto folder = f.run.checkpoints(f.plan.jobs[job].digest.hex);
    std::filesystem::create_directories(folder);
    std::ofstream(folder / "step-00000001.safetensors") << "state";
  }
  std::vector<std::filesystem::path> found;
  for (const Garbage& item : find_garbage(f.run, f.plan, f.journal(), f.settled()))
    if (item.why.find("which is finished") != std::string::npos) found.push_back(item.path);
  CHECK(found == std::vector{f.run.checkpoints(f.plan.jobs[0].digest.hex)});
}

TEST_CASE("garbage: a link to another run's artifact goes, the artifact stays") {
  test::FakeRun f(keeping("scores"));
  f.live();
  const auto link = f.run.artifacts() / f.plan.jobs[f.job("train full")].digest.hex;
  const auto other = f.scratch.path() / "elsewhere";
  std::filesystem::rename(link, other);
  std::filesystem::create_directory_symlink(other, link);
  apply_retention(f.run, f.plan, f.settled());
  CHECK_FALSE(std::filesystem::is_symlink(link));
  CHECK(std::filesystem::exists(other / "weights.bin"));
}

}  // namespace guda::orchestrator
