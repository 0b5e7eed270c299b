#include "orchestrator/report/report.hpp"

#include <fmt/format.h>

#include "common/html_escape.hpp"
#include "orchestrator/report/agreement.hpp"
#include "orchestrator/report/sections.hpp"

namespace guda::orchestrator::report {

std::string render_report(const ReportData& data) {
  const Views views = agreement_views(data.comparison);
  const std::string title = escape_html(data.title.empty() ? data.experiment : data.title);
  std::string page = "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n";
  // The browser itself refuses every request and every script, whatever a name might have smuggled in.
  page +=
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; style-src "
      "'unsafe-inline'\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"color-scheme\" "
      "content=\"light dark\">\n"
      "<link rel=\"icon\" href=\"data:,\">\n";
  page += fmt::format("<title>{}</title>\n<style>{}</style>\n</head>\n<body>\n", title, page_style());
  page += fmt::format("<header class=\"page\"><h1>{}</h1><p>experiment <b>{}</b>{}{}</p>\n", title,
                      escape_html(data.experiment), data.created.empty() ? "" : " \u00b7 ", escape_html(data.created));
  const std::string entanglement = entanglement_section(data);
  page +=
      "<nav aria-label=\"Sections\"><a href=\"#answer\">Answer</a> <a href=\"#queries\">Queries</a> <a "
      "href=\"#agreement\">Agreement</a> "
      "<a href=\"#heatmaps\">Groups</a> <a href=\"#timesteps\">Timesteps</a> <a href=\"#gallery\">Pictures</a> ";
  if (!entanglement.empty()) page += "<a href=\"#entanglement\">Entanglement</a> ";
  page +=
      "<a href=\"#cost\">Cost</a> <a href=\"#provenance\">Provenance</a> <a "
      "href=\"#glossary\">Terms</a></nav></header>\n<main>\n";
  page += answer_section(data, views) + queries_section(data) + agreement_section(data, views) +
          heatmaps_section(data) + timesteps_section(data) + gallery_section(data) + entanglement + cost_section(data) +
          provenance_section(data) + glossary_section();
  page += fmt::format("</main>\n<script type=\"application/json\" id=\"guda-data\">{}</script>\n</body>\n</html>\n",
                      script_json({{"comparison", data.comparison}, {"provenance", data.provenance}}));
  return page;
}

}  // namespace guda::orchestrator::report
