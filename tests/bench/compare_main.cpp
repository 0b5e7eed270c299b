// Seconds of compare() on synthetic results of the size of jobs/recipes/digits-full.yaml: the row `compare` of ./run
// bench.
#include <chrono>
#include <cstdio>

#include "orchestrator/comparison.hpp"
#include "tests/orchestrator/synthetic_run.hpp"

using namespace guda;

int main() {
  test::SyntheticSize size{.queries = 330, .timesteps = 50, .seeds = {0, 1, 2}, .sets = {"generated", "real"}};
  jobs::Plan plan = test::synthetic_plan(size,
                                         {{"logo", "logo"},
                                          {"logo_b", "logo"},
                                          {"retrack_exact", "guda"},
                                          {"ifu", "guda"},
                                          {"retrack_released", "guda"},
                                          {"retrack_minsnr", "guda"},
                                          {"finetune_retain", "guda"},
                                          {"random", "random"},
                                          {"pixel_cosine", "pixel_cosine"},
                                          {"knn", "knn"}},
                                         "logo_b");
  plan.experiment.comparison.bootstrap = 1000;
  orchestrator::ResultsTable table = test::empty_table(plan);
  test::fill_fulls(table);
  std::uint64_t state = 1;
  const auto any = [&] {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    return static_cast<double>(state >> 40) / (1 << 24) - 0.5;
  };
  for (auto& [name, losses] : table.losses) {
    for (float& loss : losses) loss = static_cast<float>(4 + any());
  }
  for (auto& [name, scores] : table.scores) {
    for (double& score : scores) score = any();
  }
  const auto started = std::chrono::steady_clock::now();
  const orchestrator::Comparison comparison = orchestrator::compare(table, plan, {});
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - started;
  std::printf("{\"seconds\": %.4f, \"views\": %zu, \"queries\": %zu}\n", seconds.count(), comparison.views.size(),
              table.queries());
}
