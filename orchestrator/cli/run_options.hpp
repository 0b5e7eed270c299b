#pragma once
// Options of every command that starts workers.
#include <boost/program_options.hpp>

#include "jobs/plan.hpp"
#include "orchestrator/supervisor.hpp"

namespace guda::cli {

void add_supervision_options(boost::program_options::options_description& options);
/// --deadline and --simulate-preempt-after.
void add_deadline_options(boost::program_options::options_description& options);
/// Where the workers of a run go, from --workers, --hostfile, --bind and the allocation we are in.
[[nodiscard]] cluster::LaunchPlan launch_from(const boost::program_options::variables_map& values,
                                              const jobs::Plan& plan);
[[nodiscard]] orchestrator::SupervisorConfig supervision_from(const boost::program_options::variables_map& values,
                                                              const jobs::Plan& plan);

}  // namespace guda::cli
