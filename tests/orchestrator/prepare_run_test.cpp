#include "orchestrator/prepare_run.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "common/error.hpp"
#include "jobs/job_identity.hpp"
#include "tests/support/fake_run.hpp"

using namespace guda;
using namespace guda::orchestrator;

namespace {

/// The plan as a version planned it whose jobs compute other numbers.
jobs::Plan of_another_version(jobs::Plan plan) {
  for (jobs::JobSpec& job : plan.jobs) {
    job.digest = digest_of("another version " + job.digest.hex);
    for (Digest& input : job.inputs) input = digest_of("another version " + input.hex);
  }
  plan.digest = digest_of("another version " + plan.digest.hex);
  return plan;
}

std::string refusal(const RunLayout& run, const jobs::Plan& plan) {
  try {
    static_cast<void>(install_plan(run, {plan, ""}, true));
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

}  // namespace

TEST_CASE(
    "prepare run: the finished jobs of another version are not mixed with those of this one, and it is said why") {
  test::FakeRun run(of_another_version(test::small_plan()));
  run.live(5);
  const jobs::Plan mine = test::small_plan();

  const std::string from_the_file = refusal(run.run, mine);
  CHECK(from_the_file.find("5 finished jobs of another version of guda") != std::string::npos);
  CHECK(from_the_file.find("Changed keys") == std::string::npos);
  CHECK(from_the_file.find("Cure: ") != std::string::npos);

  // Resumed from the run directory, this version would compute under the other's names.
  const std::string from_the_folder = refusal(run.run, load_plan(run.run));
  CHECK(from_the_folder.find("another version of guda") != std::string::npos);
  run.live();
  CHECK(refusal(run.run, load_plan(run.run)).empty());  // complete: nothing is left to compute
}

TEST_CASE("prepare run: a manifest that was edited is named, and no other version is blamed for it") {
  test::ScratchFolder folder;
  jobs::Experiment e = test::small_experiment();
  e.groups.by = "manifest";
  e.groups.manifest = folder / "groups.csv";
  const auto planned = [&](const std::string& text) {
    replace_file(e.groups.manifest, text, false);
    return jobs::make_plan(e, jobs::load_dataset(e.dataset), jobs::Numerics{"cpu", "avx2", "float32", 1});
  };
  const auto train = jobs::load_dataset(e.dataset).train;
  const auto lines = [&](std::size_t first) {
    return fmt::format("item,group\n{},a\n{},a\n{},b\n", train[first], train[first + 1], train[9]);
  };
  test::FakeRun run(planned(lines(0)));
  run.live();
  const std::string text = refusal(run.run, planned(lines(1)));
  CHECK(text.find("Changed keys:\n  members of the groups") != std::string::npos);
  CHECK(text.find("another version") == std::string::npos);
}

TEST_CASE("prepare run: an edited experiment is refused by the keys that changed") {
  test::FakeRun run;
  run.live(5);
  const std::string text = refusal(run.run, test::small_plan(6));
  CHECK(text.find("Changed keys:\n  queries.real.count: 4 -> 6") != std::string::npos);
  CHECK(text.find("another version") == std::string::npos);
}
