#pragma once
// Experiment -> plan. Pure: equal arguments give an equal plan on any machine.
#include "jobs/dataset.hpp"
#include "jobs/plan.hpp"

namespace guda::jobs {

/// Jobs and axes of an experiment. Throws Error for what only the data can show (groups, counts).
[[nodiscard]] Plan make_plan(const Experiment& experiment, const Dataset& dataset, const Numerics& numerics);

/// The arithmetic that jobs of this experiment will use on this machine.
[[nodiscard]] Numerics numerics_of(const Experiment& experiment);

}  // namespace guda::jobs
