#pragma once
// The picture of `guda attribute --png`.
#include <cstdint>
#include <vector>

#include "orchestrator/attribution.hpp"

namespace guda::orchestrator {

/// PNG bytes: each image beside its top groups with standard errors.
[[nodiscard]] std::vector<std::uint8_t> draw_attribution(const PreparedAttribution& prepared,
                                                         const std::vector<ImageAttribution>& images);

}  // namespace guda::orchestrator
