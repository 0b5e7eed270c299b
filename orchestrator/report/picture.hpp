#pragma once
// Pictures of a run as 8-bit pixels.
#include <cstdint>
#include <vector>

#include "orchestrator/report/report_data.hpp"

namespace guda::orchestrator::report {

/// [row, column, channel], 0..255 whatever the number of levels. Throws Bug when sizes do not fit together.
[[nodiscard]] std::vector<std::uint8_t> interleaved(const Picture& picture);
/// PNG file of the picture, one pixel each.
[[nodiscard]] std::vector<std::uint8_t> png_of(const Picture& picture);

}  // namespace guda::orchestrator::report
