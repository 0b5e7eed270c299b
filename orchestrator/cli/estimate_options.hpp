#pragma once
// Options and output that `guda plan` and `guda submit` share: on what, under which walltime, at which cost.
#include <boost/program_options.hpp>
#include <string>
#include <vector>

#include "cluster/launch_plan.hpp"
#include "jobs/plan.hpp"
#include "orchestrator/estimate.hpp"

namespace guda::cli {

/// --nodes, --gpus-per-node, --cores-per-node: nodes that we are not on yet.
void add_node_options(boost::program_options::options_description& options);

/// The launch plan on imagined nodes n1, n2, ... when --nodes or --gpus-per-node is given.
[[nodiscard]] bool asks_for_nodes(const boost::program_options::variables_map& values);
[[nodiscard]] cluster::LaunchPlan launch_on_nodes(const boost::program_options::variables_map& values,
                                                  const jobs::Plan& plan);

/// `launch` when one of its nodes has as many workers as the plan's gangs want; throws Error with the cure otherwise.
[[nodiscard]] cluster::LaunchPlan with_room_for_gangs(cluster::LaunchPlan launch, const jobs::Plan& plan);

/// An imagined node with a GPU for each worker that is asked for, or with one.
[[nodiscard]] cluster::LaunchPlan launch_on_imagined_gpus(const boost::program_options::variables_map& values,
                                                          const jobs::Plan& plan);

/// Seconds before the end of a life at which jobs are asked to hand themselves back: grace, plus a minute in which
/// Slurm's signal may come early, plus time to leave.
[[nodiscard]] double signal_lead(double grace);

/// The estimate with what was measured of this device kind (docs/slurm.md, "Calibration").
[[nodiscard]] orchestrator::Estimate estimate_with_calibration(const jobs::Plan& plan, const std::vector<bool>& settled,
                                                               const orchestrator::EstimateOptions& options);

/// Why the largest GPU known here - visible, or calibrated - is too small for a job of this plan, with the cure; empty
/// when it is not, or when none is known.
[[nodiscard]] std::string memory_objection(const jobs::Plan& plan, const orchestrator::Estimate& estimate);

/// Table for people. `walltime` as given to the estimate.
[[nodiscard]] std::string estimate_text(const jobs::Plan& plan, const orchestrator::Estimate& estimate,
                                        const orchestrator::EstimateOptions& options);

/// "1.3 h (1.1 .. 1.6 h)"; short times in seconds or minutes.
[[nodiscard]] std::string range_text(const jobs::Cost& seconds);
/// "12 kB", "3.4 MB", "1.2 GB"
[[nodiscard]] std::string bytes_text(double bytes);

}  // namespace guda::cli
