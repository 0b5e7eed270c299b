// Controls: scores without any model, so that every table has its floor and its cheap competitor.
#include "jobs/methods/methods.hpp"

namespace guda::jobs {

void plan_control(PlanBuilder& builder, const MethodConfig& config, std::uint64_t run_seed) {
  builder.attribute(run_seed, config);
}

}  // namespace guda::jobs
