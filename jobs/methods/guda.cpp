// GUDA: unlearn each group from the full model (arXiv 2601.22651; methods.md 1.4), scored on the methods' draw set
// only.
#include <string>

#include "jobs/methods/methods.hpp"

namespace guda::jobs {

void plan_guda(PlanBuilder& builder, const MethodConfig& config, std::uint64_t run_seed) {
  const Digest full = builder.train(run_seed, 0, -1);
  for (int group = 0; group < static_cast<int>(builder.group_count()); ++group) {
    const Digest weights = builder.unlearn(run_seed, full, config, group);
    builder.score(run_seed, weights, config.name, group, kMethodDraws);
    if (run_seed == builder.experiment().seeds.front())
      builder.preview(run_seed, weights, config.name + " " + std::to_string(group));
  }
}

}  // namespace guda::jobs
