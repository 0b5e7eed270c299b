// LOGO: retrain without each group (methods.md 1.3). The oracle is scored on both draw sets: set 0 is the reference of
// every claim, set 1 gives its repeatability and the same-draw view of the papers (architecture 4.3).
#include <string>

#include "jobs/methods/methods.hpp"

namespace guda::jobs {

void plan_logo(PlanBuilder& builder, const MethodConfig& config, std::uint64_t run_seed) {
  if (config.seed != 0) {
    // Another retraining has other random streams; its differences are taken against the full model of those streams.
    const Digest full = builder.train(run_seed, config.seed, -1);
    for (const std::uint32_t draw_set : {kOracleDraws, kMethodDraws})
      builder.score(run_seed, full, "full__" + config.name, -1, draw_set);
  }
  for (int group = 0; group < static_cast<int>(builder.group_count()); ++group) {
    const Digest weights = builder.train(run_seed, config.seed, group);
    for (const std::uint32_t draw_set : {kOracleDraws, kMethodDraws})
      builder.score(run_seed, weights, config.name, group, draw_set);
    builder.pilot(run_seed, weights, config.name, group);
    if (run_seed == builder.experiment().seeds.front())
      builder.preview(run_seed, weights, config.name + " " + std::to_string(group));
  }
}

}  // namespace guda::jobs
