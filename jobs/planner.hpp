#pragma once
// Experiment -> plan. Pure: equal arguments give an equal plan on any machine.
#include "jobs/dataset.hpp"
#include "jobs/plan.hpp"

namespace guda::jobs {

/// Jobs and axes of an experiment. Throws Error for what only the data can show (groups, counts), and for encoders
/// whose weights are not there, unless they may be missing: then the digests are not those of the run, which is for
/// estimates.
[[nodiscard]] Plan make_plan(const Experiment& experiment, const Dataset& dataset, const Numerics& numerics,
                             bool weights_may_be_missing = false);

/// The arithmetic that jobs of this experiment will use on this machine.
[[nodiscard]] Numerics numerics_of(const Experiment& experiment);

}  // namespace guda::jobs
