#pragma once
// The sections of the report in reader's order. Each is pure and returns a whole <section>.
#include <string>
#include <vector>

#include "orchestrator/report/agreement.hpp"
#include "orchestrator/report/report_data.hpp"

namespace guda::orchestrator::report {

using Views = std::vector<AgreementView>;

/// What was asked, and the answer in two sentences, with the warnings.
[[nodiscard]] std::string answer_section(const ReportData& data, const Views& views);
/// Sample queries as pictures with the groups that each method names.
[[nodiscard]] std::string queries_section(const ReportData& data);
/// Agreement with the reference: overview, then bars and table of each view.
[[nodiscard]] std::string agreement_section(const ReportData& data, const Views& views);
[[nodiscard]] std::string heatmaps_section(const ReportData& data);
[[nodiscard]] std::string timesteps_section(const ReportData& data);
[[nodiscard]] std::string gallery_section(const ReportData& data);
/// Empty where no method weighs by GUARD.
[[nodiscard]] std::string entanglement_section(const ReportData& data);
[[nodiscard]] std::string cost_section(const ReportData& data);
[[nodiscard]] std::string provenance_section(const ReportData& data);
[[nodiscard]] std::string glossary_section();

/// The one style sheet.
[[nodiscard]] std::string page_style();

}  // namespace guda::orchestrator::report
