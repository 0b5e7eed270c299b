#pragma once
// Job graphs made up for the scheduler in virtual time: guda simulate, its tests and bench rows.
#include <cstdint>
#include <vector>

#include "orchestrator/scheduler_events.hpp"

namespace guda::orchestrator {

/// Score blocks that wait for one unlearned model under `styles`.
inline constexpr std::uint32_t kBlocksOfStyle = 10;

/// Independent jobs of `seconds` * (1 +- spread); with `styles` every eleventh of them unlearns a style, and each of
/// the ten behind it scores a block of queries under what that left, in a fifth of the time. With `gang` > 1 every
/// tenth job wants as many workers of one node.
[[nodiscard]] HugeVector<JobNode> synthetic_jobs(std::uint32_t count, double seconds, double spread, bool styles,
                                                 std::uint64_t seed, std::uint32_t gang = 1);

/// No schedule is shorter: max(work / workers, longest chain), s. A gang's work is its seconds times its workers.
[[nodiscard]] double makespan_bound(const HugeVector<JobNode>& jobs, std::uint32_t workers);

}  // namespace guda::orchestrator
