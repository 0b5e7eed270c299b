#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "common/html_escape.hpp"
#include "orchestrator/report/charts.hpp"
#include "orchestrator/report/markup.hpp"
#include "orchestrator/report/numbers.hpp"
#include "orchestrator/report/sections.hpp"

namespace guda::orchestrator::report {
namespace {

struct Total {
  double seconds = 0;
  std::uint64_t jobs = 0;
};

Total total_of(const MethodCost& cost) {
  Total total;
  for (const auto& part : cost.parts) total.seconds += part.device_seconds, total.jobs += part.jobs;
  return total;
}

std::string cost_chart(const ReportData& data) {
  BarChart chart;
  chart.title = "Device time of each method";
  chart.highest = 0;
  double longest = 0;
  for (const auto& cost : data.costs) longest = std::max(longest, total_of(cost).seconds);
  const double unit = longest < 120 ? 1 : longest < 7200 ? 60 : 3600;
  chart.axis_suffix = unit == 1 ? " s" : unit == 60 ? " min" : " h";
  for (const auto& cost : data.costs) {
    const double seconds = total_of(cost).seconds;
    chart.bars.push_back({.label = cost.method,
                          .value = seconds / unit,
                          .css_class = kind_class(data, cost.method),
                          .value_text = duration(seconds)});
    chart.description += fmt::format("{} {}; ", cost.method, duration(seconds));
  }
  return bar_chart(chart);
}

std::string cost_table(const ReportData& data) {
  std::vector<std::string> kinds;
  double reference = kUnknown;
  for (const auto& cost : data.costs) {
    for (const auto& part : cost.parts)
      if (std::find(kinds.begin(), kinds.end(), part.kind) == kinds.end()) kinds.push_back(part.kind);
    if (cost.method == data.reference) reference = total_of(cost).seconds;
  }
  std::string head = "<tr><th scope=\"col\">method</th>", rows;
  for (const auto& kind : kinds) head += fmt::format("<th scope=\"col\" class=\"num\">{}</th>", escape_html(kind));
  head +=
      "<th scope=\"col\" class=\"num\">device time</th><th scope=\"col\" class=\"num\">jobs</th><th scope=\"col\" "
      "class=\"num\">of the reference</th></tr>";
  for (const auto& cost : data.costs) {
    const Total total = total_of(cost);
    rows += fmt::format("<tr class=\"{}\"><th scope=\"row\">{}</th>", kind_class(data, cost.method),
                        breakable(cost.method));
    for (const auto& kind : kinds) {
      const auto part =
          std::find_if(cost.parts.begin(), cost.parts.end(), [&](const auto& p) { return p.kind == kind; });
      rows += fmt::format("<td class=\"num\">{}</td>",
                          part == cost.parts.end() ? "\u2013" : duration(part->device_seconds));
    }
    const double share = total.seconds / reference;
    rows += fmt::format("<td class=\"num\"><b>{}</b></td><td class=\"num\">{}</td><td class=\"num\">{}</td></tr>\n",
                        duration(total.seconds), total.jobs,
                        !(reference > 0) ? "\u2013" : significant(100 * share, 2) + "\u00a0%");
  }
  return scrolling("Cost of each method", fmt::format("<table><thead>{}</thead><tbody>{}</tbody></table>", head, rows));
}

}  // namespace

std::string cost_section(const ReportData& data) {
  if (data.costs.empty())
    return section("cost", "Cost", missing(data, "costs", "No cost: no job of a method has finished."));
  return section("cost", "Cost",
                 "<p class=\"lede\">Seconds on one device (a GPU, or processor time of one worker\u2019s threads), "
                 "summed over jobs; "
                 "waiting is not counted. "
                 "<code>full</code> is what all methods share: the full model, the queries and the full model\u2019s "
                 "losses. Features that two methods share count for both.</p>\n<div class=\"side\"><figure>" +
                     cost_chart(data) + "</figure>" + cost_table(data) + "</div>");
}

}  // namespace guda::orchestrator::report
