#pragma once
// report.html: one self-contained file that opens offline in any browser; static SVG, no scripts, no requests.
#include <string>

#include "orchestrator/report/report_data.hpp"

namespace guda::orchestrator::report {

/// Pure. Throws Error when `comparison` has a schema other than 1 or a shape that contradicts it.
[[nodiscard]] std::string render_report(const ReportData& data);

}  // namespace guda::orchestrator::report
