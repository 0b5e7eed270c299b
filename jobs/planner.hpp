#pragma once
// Experiment -> plan. Pure: equal arguments give an equal plan on any machine.
#include <span>

#include "jobs/dataset.hpp"
#include "jobs/plan.hpp"

namespace guda::jobs {

/// Jobs and axes of an experiment. Throws Error for what only the data can show (groups, counts), and for encoders
/// whose weights are not there, unless they may be missing: then the digests are not those of the run, which is for
/// estimates.
///
/// `spread`: with scoring.allocation adaptive what pilot_spread() found (jobs/pilot.hpp), one number per timestep of
/// the grid; without it the plan is the first stage, in which all is made and the pilot scored, and awaits_pilot(plan).
///
/// `race`: with scoring.until how far the races are planned (jobs/race.hpp), on the axes of this plan; lanes that are
/// missing start with their first round. While a race goes on the plan awaits_next_stage().
[[nodiscard]] Plan make_plan(const Experiment& experiment, const Dataset& dataset, const Numerics& numerics,
                             bool weights_may_be_missing = false, std::span<const double> spread = {},
                             const std::vector<RaceLane>& race = {});

/// For an estimate: as if a pilot had found equal noise everywhere. The same plan where there is no pilot.
[[nodiscard]] Plan make_provisional_plan(const Experiment& experiment, const Dataset& dataset, const Numerics& numerics,
                                         bool weights_may_be_missing = false, const std::vector<RaceLane>& race = {});

/// The arithmetic that jobs of this experiment will use on this machine.
[[nodiscard]] Numerics numerics_of(const Experiment& experiment);

}  // namespace guda::jobs
