#pragma once
// Races of groups for their places (scoring.until; common/racing.hpp), planned in rounds. Every method's models on a
// draw set are a lane; in a lane every query is a race of its own. A round's Score jobs have the queries that still
// race a group, on the slots of the round's units; who takes part in the next one is a function of the committed losses
// of the rounds before. The full model follows its lanes. Pure; any thread.
#include <cstdint>
#include <functional>
#include <vector>

#include "common/racing.hpp"
#include "jobs/plan.hpp"

namespace guda::jobs {

/// Units before the first decision: the boundary is asymptotic.
inline constexpr std::uint32_t kFirstDecision = 8;

/// Whether places are raced for.
[[nodiscard]] bool races(const ScoringConfig& scoring);

/// Units that a race has at most.
[[nodiscard]] std::uint32_t most_units(const ScoringConfig& scoring);

/// Units after each round: 8, then half as many again, and most_units at last (a short rest joins the round before).
[[nodiscard]] std::vector<std::uint32_t> round_ends(const ScoringConfig& scoring);

/// Slots of one unit, both members of pairs counted.
[[nodiscard]] std::uint32_t slots_of_unit(const ScoringConfig& scoring);

/// A lane in which every group takes part in the first round.
[[nodiscard]] RaceLane first_round(const Plan& plan, const std::string& rows, std::uint32_t draw_set);

/// The latest round that any group of the query takes part in.
[[nodiscard]] std::uint32_t latest_round(const RaceLane& lane, std::size_t query, std::size_t groups);

/// Loss of the model without `group` on a slot of the whole axis; NaN where it was not scored.
using RaceLosses = std::function<double(std::size_t group, std::size_t slot)>;

/// The race of one query, replayed from its losses by the weights of the first weighting of the comparison, unit by
/// unit, up to `units` of them: as far as every live group was scored. The full model's losses cancel.
[[nodiscard]] Race replay_race(const Plan& plan, std::uint32_t draw_set, std::uint32_t units, const RaceLosses& losses);

/// `lane` with the next round of every race that goes on. `losses(query)` are those of the rounds so far.
[[nodiscard]] RaceLane with_next_round(const Plan& plan, RaceLane lane,
                                       const std::function<RaceLosses(std::size_t query)>& losses);

/// `lane` as if no place were decided any more, and as if all were.
[[nodiscard]] RaceLane to_the_end(const Plan& plan, RaceLane lane);
[[nodiscard]] RaceLane ended_here(RaceLane lane);

/// What earlier stages planned, on the axes of `plan`: lanes that `before` has too, queries by name. New ones start
/// with their first round. Nothing is taken over from other rules or other slots.
[[nodiscard]] std::vector<RaceLane> lanes_so_far(const Plan& plan, const Plan& before);

}  // namespace guda::jobs
