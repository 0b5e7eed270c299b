#pragma once
// The pilot of `scoring.allocation: adaptive`: a few queries under the oracle's models, before all others, say where
// the differences of losses are noisy. Its Score jobs are the first stage of the plan and fill no row of results.h5;
// the second stage is a function of the experiment and of what pilot_spread() makes of their rows.
#include <cstdint>
#include <vector>

#include "jobs/plan.hpp"

namespace guda::jobs {

/// Positions among `queries` of a run seed, ascending: a random pilot.share of them, at least 4, at most all.
[[nodiscard]] std::vector<std::uint32_t> pilot_queries(const Experiment& experiment, std::uint32_t queries);

/// Indices of the plan's pilot jobs, in the order of the plan.
[[nodiscard]] std::vector<std::size_t> pilot_jobs(const Plan& plan);

/// Noise per timestep of the grid: the root mean square, over queries and models, of the deviation over draws of
/// (loss - mean loss of all models), which is what can change a ranking; of pair means where pairs are scored.
/// `losses[i]`: rows [query, slot] of job pilot_jobs(plan)[i]. Throws Error when they have other shapes, or NaN.
[[nodiscard]] std::vector<double> pilot_spread(const Plan& plan, const std::vector<std::vector<float>>& losses);

}  // namespace guda::jobs
