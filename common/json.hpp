#pragma once
// The JSON type of this project. std::map underneath: keys are sorted, so dump() is canonical for digests.
#include <nlohmann/json.hpp>

namespace guda {
using Json = nlohmann::json;
}  // namespace guda
