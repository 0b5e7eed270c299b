#pragma once
// Nodes that a run does not want again.
#include <string>
#include <vector>

#include "orchestrator/run_layout.hpp"

namespace guda::orchestrator {

/// Names of nodes that lives of this run have fenced and nobody unfenced since; sorted.
[[nodiscard]] std::vector<std::string> fenced_nodes(const RunLayout& run);

}  // namespace guda::orchestrator
