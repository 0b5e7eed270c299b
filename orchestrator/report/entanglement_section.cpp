#include <fmt/format.h>

#include <cmath>
#include <vector>

#include "common/html_escape.hpp"
#include "common/metrics.hpp"
#include "orchestrator/report/markup.hpp"
#include "orchestrator/report/numbers.hpp"
#include "orchestrator/report/sections.hpp"

namespace guda::orchestrator::report {
namespace {

std::string entanglement_figure(const ReportData& data, const Entanglement& of) {
  std::string rows;
  std::vector<double> alignments, damages;
  for (const Entanglement::Row& row : of.rows) {
    rows += fmt::format(
        "<tr><th scope=\"row\">{}</th><td class=\"num\">{}</td><td class=\"num\">{}</td><td class=\"num\">{}</td>"
        "<td class=\"num\">{}</td></tr>\n",
        breakable(row.group), row.images, significant(row.alignment, 3), significant(row.spread, 2),
        significant(row.damage, 3));
    if (!std::isfinite(row.damage)) continue;
    alignments.push_back(row.alignment);
    damages.push_back(row.damage);
  }
  const std::string known = alignments.size() < 3
                                ? "too few groups are evaluated to see whether it holds here"
                                : fmt::format("here the rank correlation of the two columns over {} groups is {}",
                                              alignments.size(), fixed(metrics::spearman(damages, alignments), 2));
  const std::string table = fmt::format(
      "<table><thead><tr><th scope=\"col\">group</th><th scope=\"col\" class=\"num\">images</th><th scope=\"col\" "
      "class=\"num\">mean alignment</th><th scope=\"col\" class=\"num\">spread</th><th scope=\"col\" class=\"num\">"
      "{} lost by other groups\u2019 queries</th></tr></thead><tbody>{}</tbody></table>",
      escape_html(data.score_unit), rows);
  return fmt::format("<figure><figcaption><b>{}</b> <span>{}</span></figcaption>{}</figure>\n", breakable(of.method),
                     known, scrolling("Entanglement of the groups under " + of.method, table));
}

}  // namespace

std::string entanglement_section(const ReportData& data) {
  if (data.entanglement.empty()) return "";
  std::string figures;
  for (const Entanglement& of : data.entanglement) figures += entanglement_figure(data, of);
  return section(
      "entanglement", "Entanglement",
      "<p class=\"lede\">How far the gradients of a group\u2019s images point along the mean gradient of all other "
      "images at the full model (GUARD\u2019s alignment, mean and standard deviation over the images). The higher it "
      "is "
      "among the groups, the more the retained images are expected to suffer when the group is unlearned: what the "
      "unlearned model loses on queries of other groups stands beside it.</p>\n" +
          figures);
}

}  // namespace guda::orchestrator::report
