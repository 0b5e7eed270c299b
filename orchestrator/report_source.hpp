#pragma once
// Fills the report's values from a run directory; what is not there yet is left empty with the reason.
#include "jobs/plan.hpp"
#include "orchestrator/report/report_data.hpp"
#include "orchestrator/run_layout.hpp"

namespace guda::orchestrator {

[[nodiscard]] report::ReportData report_data(const RunLayout& run, const jobs::Plan& plan);

}  // namespace guda::orchestrator
