#pragma once
// Evaluation that needs no oracle: models trained without several groups, or without the training items that a method
// holds for the most influential, and what becomes of the queries.
#include <cstdint>
#include <string>
#include <vector>

#include "jobs/plan_builder.hpp"

namespace guda::jobs {

/// Groups (ascending, at least one, not all) that each subset model goes without: round(share * groups) drawn without
/// replacement. A function of the config.
[[nodiscard]] std::vector<std::vector<std::uint32_t>> removed_groups(const SubsetsConfig& config, std::uint32_t groups);

/// Name of a subset model's losses in results.h5: "subset__007".
[[nodiscard]] std::string subset_rows(std::size_t subset);
[[nodiscard]] bool is_subset_rows(const std::string& rows);

/// Index of the query set that is drawn again after a removal: the first generated one. Bug where there is none.
[[nodiscard]] std::size_t removal_set_index(const Experiment& experiment);

/// The jobs of experiment().evaluation for one run seed; after those of the methods. Throws Error where a removal would
/// leave no training item.
void plan_evaluation(PlanBuilder& builder, std::uint64_t run_seed);

}  // namespace guda::jobs
