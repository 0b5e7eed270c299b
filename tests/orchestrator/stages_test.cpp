#include "orchestrator/stages.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "common/error.hpp"
#include "jobs/race.hpp"
#include "orchestrator/comparison.hpp"
#include "orchestrator/group_scores.hpp"
#include "orchestrator/race_outcome.hpp"
#include "orchestrator/results_file.hpp"
#include "orchestrator/retention.hpp"
#include "orchestrator/run_results.hpp"
#include "orchestrator/run_view.hpp"
#include "tests/support/fake_run.hpp"

using namespace guda;
using namespace guda::orchestrator;

namespace {

jobs::Plan racing_plan(const std::string& allocation = "weight", std::uint32_t extra_methods = 0) {
  jobs::Experiment e = test::small_experiment(5);
  e.scoring.allocation = allocation;
  e.scoring.slots = 40;  // 20 units in rounds to 8, 12 and 20
  e.scoring.until = "top1";
  for (std::uint32_t i = 0; i < extra_methods; ++i) {
    jobs::MethodConfig more = e.methods[1];
    more.name = "more" + std::to_string(i);
    more.unlearn.steps = 2 + i;
    e.methods.insert(e.methods.begin() + 1, more);
  }
  return jobs::make_plan(e, jobs::load_dataset(e.dataset), jobs::Numerics{"cpu", "avx2", "float32", 1});
}

/// Group 3 leads everywhere; of queries with an odd position group 7 can hardly be told from it.
float raced_loss(const jobs::JobSpec& job, std::uint32_t row, std::size_t slot) {
  const auto& score = std::get<jobs::ScoreSpec>(job.work);
  const std::uint32_t query = score.chosen.empty() ? score.first + row : score.chosen[row],
                      draw = score.slots[slot].draw;
  const bool full = job.label.find("full") != std::string::npos;
  const auto dash = job.label.find('-');
  const int group = full || dash == std::string::npos ? -1 : job.label[dash + 1] - '0';
  const double noise = 0.3 * std::sin(double(37 * (group + 2) + 11 * draw + 101 * query)) + std::sin(double(draw));
  const double mean = group < 0 ? 1 : group == 3 ? 9 : group == 7 && query % 2 == 1 ? 8.999 : 2;
  return static_cast<float>(mean + noise);
}

struct RacingRun : test::FakeRun {
  explicit RacingRun(jobs::Plan p = racing_plan()) : FakeRun(std::move(p)) { loss = raced_loss; }
  /// Goes on to the next stage; whether there was one.
  bool advance() {
    auto next = plan_next_stage(run, plan, 0);
    if (!next) return false;
    plan = std::move(*next);
    static_cast<void>(install_plan(run, {plan, ""}, true));
    return true;
  }
  void to_the_end() {
    do live();
    while (advance());
    finalize_run(run, plan);
  }
};

}  // namespace

TEST_CASE(
    "stages: a race goes on in rounds until every place is decided or all slots are spent, the same from any kill") {
  RacingRun quiet;
  quiet.to_the_end();
  CHECK_FALSE(jobs::awaits_next_stage(quiet.plan));
  CHECK(view_run(quiet.run).headline == "complete");

  RacingRun killed;
  std::size_t lives = 0;
  do {
    do {
      killed.live(7);
      ++lives;
      const auto settled = killed.settled();
      if (std::find(settled.begin(), settled.end(), false) == settled.end()) break;
      CHECK_FALSE(plan_next_stage(killed.run, killed.plan, 0));
    } while (true);
    // The process is gone: what a new one plans from the experiment alone is where this one was.
    CHECK(plan_so_far(killed.run, racing_plan()).digest == killed.plan.digest);
  } while (killed.advance());
  finalize_run(killed.run, killed.plan);
  CHECK(lives > 10);
  CHECK(killed.plan.digest == quiet.plan.digest);
  const ResultsTable a = read_results(quiet.run.results()), b = read_results(killed.run.results());
  for (const auto& [name, losses] : a.losses) {
    const auto& others = b.losses.at(name);
    CHECK(std::equal(losses.begin(), losses.end(), others.begin(), others.end(),
                     [](float x, float y) { return x == y || (std::isnan(x) && std::isnan(y)); }));
  }

  // plan.json is lost: the rows of every round lead back to it.
  std::filesystem::remove(killed.run.plan());
  jobs::Plan again = plan_so_far(killed.run, racing_plan());
  for (int round = 0; round < 2; ++round) again = plan_next_stage(killed.run, again, 0).value();
  CHECK(again.digest == killed.plan.digest);
  CHECK_FALSE(plan_next_stage(killed.run, again, 0));
}

TEST_CASE("stages: rows that were lost after a decision do not move it") {
  RacingRun run;
  run.live();
  REQUIRE(run.advance());
  const Digest decided = run.plan.digest;
  std::filesystem::resize_file(run.run.rows() / "1-1.seg", 100);
  CHECK(plan_so_far(run.run, racing_plan()).digest == decided);
  CHECK_FALSE(plan_next_stage(run.run, run.plan, 0));
  run.to_the_end();
  CHECK(view_run(run.run).headline == "complete");
}

TEST_CASE("stages: between rounds a run is not complete, its scores are readable and its models stay") {
  RacingRun run;
  run.live();
  const RunView between = view_run(run.run);
  CHECK(between.headline.starts_with("stopped before its end"));
  CHECK(between.status.total == run.plan.jobs.size() + run.plan.next.jobs);
  CHECK(droppable_artifacts(run.run, run.plan, run.settled()).empty());
  const GroupScores scores = main_scores(read_results(run.run.results()), run.plan, "logo");
  for (std::size_t q = 0; q < 5; ++q) CHECK(scores.evaluated(q));
  CHECK_FALSE(race_report(read_results(run.run.results()), run.plan).over);
  run.to_the_end();
  CHECK_FALSE(droppable_artifacts(run.run, run.plan, run.settled()).empty());
}

TEST_CASE("stages: who is out gets no more slots, the answer and the undecided are said, and so is the budget") {
  RacingRun run;
  run.to_the_end();
  const ResultsTable table = read_results(run.run.results());
  const auto outcomes = race_outcomes(table, run.plan);
  REQUIRE(outcomes.size() == 3);
  for (const RaceOutcome& outcome : outcomes) {
    for (std::size_t q = 0; q < 5; ++q) {
      const bool close = q % 2 == 1;
      CHECK(outcome.decided[q] == (close ? 0 : 1));
      for (std::size_t k = 0; k < 10; ++k) {
        const bool races_on = close && (k == 3 || k == 7);
        CHECK(outcome.slots[q * 10 + k] == (races_on ? 40 : 16));
        CHECK(outcome.place[q * 10 + k] == (races_on ? 0 : k == 3 ? 1 : -1));
      }
    }
  }
  const RaceReport report = race_report(table, run.plan);
  CHECK(report.over);
  CHECK(report.weighting == "elbo");
  CHECK(report.lanes[0].undecided == std::vector<std::string>{run.plan.queries[1].name, run.plan.queries[3].name});
  CHECK(report.lanes[0].forwards == 5 * 10 * 16 + 2 * 2 * 24);
  CHECK(report.lanes[0].all_slots == 5 * 10 * 40);
  CHECK(report.lanes[0].grid == 5 * 10 * 3);
  const Json json = to_json(compare_run(run.run, run.plan));
  CHECK(json.at("race").at("until") == "top1");
  CHECK(json.at("race").at("races").at(0).at("decided") == 3);
  CHECK(json.at("race").at("races").at(0).at("undecided").size() == 2);
  const std::string text = comparison_table(compare_run(run.run, run.plan), 200);
  CHECK(text.find("races to top1 (elbo weights, confidence 0.95)") != std::string::npos);
  CHECK(text.find("rounds still to come") == std::string::npos);
  test::FakeRun plain;
  plain.live();
  CHECK_FALSE(to_json(compare_run(plain.run, plain.plan)).contains("race"));
}

TEST_CASE("stages: a pilot, then rounds; a method that is added races from its first round") {
  RacingRun run(racing_plan("adaptive"));
  CHECK(jobs::awaits_pilot(run.plan));
  run.to_the_end();
  CHECK(view_run(run.run).headline == "complete");
  const std::size_t before = run.commits().size();
  run.plan = plan_so_far(run.run, racing_plan("adaptive", 1));
  CHECK(install_plan(run.run, {run.plan, ""}, true).dropped.empty());
  run.to_the_end();
  CHECK(view_run(run.run).headline == "complete");
  CHECK(run.commits().size() > before);
  CHECK(race_outcomes(read_results(run.run.results()), run.plan).size() == 4);

  jobs::Experiment edited = racing_plan("adaptive", 1).experiment;
  edited.scoring.until = "top3";
  const jobs::Plan other = jobs::make_plan(edited, jobs::load_dataset(edited.dataset), run.plan.numerics);
  PlannedExperiment planned{plan_so_far(run.run, other), ""};
  CHECK_THROWS_WITH_AS((void)install_plan(run.run, planned, true), doctest::Contains("scoring.until: "), Error);
}

TEST_CASE("stages: an estimate bounds a race from above and from below") {
  for (const std::string allocation : {"weight", "adaptive"}) {
    RacingRun run(racing_plan(allocation));
    const PlannedExperiment planned{run.plan, ""};
    const jobs::Plan most = plan_to_price(planned), least = cheapest_plan(planned);
    CHECK(most.jobs.size() == run.plan.jobs.size() + run.plan.next.jobs);
    CHECK_FALSE(jobs::awaits_next_stage(most));
    CHECK_FALSE(jobs::awaits_next_stage(least));
    run.to_the_end();
    CHECK(run.plan.jobs.size() > least.jobs.size());
    CHECK(run.plan.jobs.size() < most.jobs.size());
    CHECK(plan_to_price({run.plan, ""}).digest == run.plan.digest);
  }
}
