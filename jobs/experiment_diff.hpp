#pragma once
// What changed between two experiments, key by key, for people: shown when an edited file meets an existing run.
#include <string>
#include <vector>

#include "common/json.hpp"

namespace guda::jobs {

/// Both are experiments as JSON. Lines like "training.steps: 600 -> 700", "methods.knn: removed"; entries of lists are
/// matched by name. Empty: nothing changed.
[[nodiscard]] std::vector<std::string> experiment_diff(const Json& before, const Json& after);

}  // namespace guda::jobs
