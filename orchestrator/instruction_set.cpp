#include "orchestrator/instruction_set.hpp"

#include "cluster/agent/agent.hpp"
#include "common/error.hpp"
#include "jobs/planner.hpp"
#include "orchestrator/journal.hpp"

namespace guda::orchestrator {

jobs::Plan plan_for_isa(const RunLayout& run, jobs::Plan plan, const std::string& isa) {
  if (plan.numerics.device != "cpu") return plan;
  const std::string objection = cluster::isa_objection(plan.numerics.isa, isa);
  if (objection.empty()) return plan;
  if (!read_journal(run.journal(), MissingLives::report).records.empty())
    throw Error(run.folder.string() + " was begun elsewhere: " + objection + ", or another --run-dir here.");
  jobs::Numerics here = plan.numerics;
  here.isa = isa;
  return jobs::make_plan(plan.experiment, jobs::load_dataset(plan.experiment.dataset), here);
}

}  // namespace guda::orchestrator
