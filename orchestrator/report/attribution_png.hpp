#pragma once
// The picture of `guda attribute --png`: each query beside bars of the groups that contributed most.
#include <cstdint>
#include <string>
#include <vector>

#include "orchestrator/report/report_data.hpp"

namespace guda::orchestrator::report {

/// PNG bytes, 1,080 pixels wide. For each card: its picture enlarged without smoothing, and for each of its answers
/// bars of the first `groups` groups with their standard errors, and a sentence that names the top group or says
/// "undecided". Needs no font and no display. Throws Error for no card or for more than 200.
[[nodiscard]] std::vector<std::uint8_t> render_attribution_png(const std::vector<QueryCard>& cards,
                                                               const std::string& score_unit, std::size_t groups = 5);

}  // namespace guda::orchestrator::report
