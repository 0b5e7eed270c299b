#include "jobs/planner.hpp"

#include "common/cpu.hpp"
#include "jobs/evaluation.hpp"
#include "jobs/methods/methods.hpp"
#include "jobs/plan_builder.hpp"
#include "jobs/slot_lists.hpp"

namespace guda::jobs {

Plan make_plan(const Experiment& experiment, const Dataset& dataset, const Numerics& numerics,
               bool weights_may_be_missing, std::span<const double> spread, const std::vector<RaceLane>& race) {
  PlanBuilder builder(experiment, dataset, numerics, weights_may_be_missing, spread, race);
  for (const std::uint64_t seed : experiment.seeds) {
    const Digest full = builder.train(seed, 0, -1);
    for (std::size_t set = 0; set < experiment.queries.size(); ++set) builder.query_set(seed, set);
    for (const std::uint32_t draw_set : {kOracleDraws, kMethodDraws}) builder.score(seed, full, "full", -1, draw_set);
    if (seed == experiment.seeds.front()) builder.preview(seed, full, "full");
    for (const MethodConfig& method : experiment.methods) method_named(method.method).plan(builder, method, seed);
    plan_evaluation(builder, seed);
  }
  return std::move(builder).finish();
}

Plan make_provisional_plan(const Experiment& experiment, const Dataset& dataset, const Numerics& numerics,
                           bool weights_may_be_missing, const std::vector<RaceLane>& race) {
  const std::vector<double> equal(scored_timesteps(experiment.scoring).size(), 1.0);
  return make_plan(experiment, dataset, numerics, weights_may_be_missing, equal, race);
}

Numerics numerics_of(const Experiment& experiment) {
  const ResourcesConfig& r = experiment.resources;
  const std::string precision = !r.precision.empty() ? r.precision : r.device == "cuda" ? "tf32" : "float32";
  return {r.device, cpu_isa(), precision, r.threads, r.micro_batch, r.deterministic};
}

}  // namespace guda::jobs
