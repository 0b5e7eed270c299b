#pragma once
// Pictures of a query-set artifact, for people.
#include <filesystem>
#include <vector>

#include "common/digest.hpp"
#include "orchestrator/report/report_data.hpp"

namespace guda::orchestrator {

/// In the order of the set, 256 levels; empty when no folder holds the artifact.
[[nodiscard]] std::vector<report::Picture> pictures_of(const std::vector<std::filesystem::path>& folders,
                                                       const Digest& artifact);

}  // namespace guda::orchestrator
