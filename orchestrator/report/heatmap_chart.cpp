#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "orchestrator/report/charts.hpp"
#include "orchestrator/report/numbers.hpp"
#include "orchestrator/report/svg.hpp"

namespace guda::orchestrator::report {
namespace {

constexpr double kHeatWidth = 340, kHeatTop = 30;

/// Room for the longest row name, in drawing units of 12-unit text.
double label_room(const std::vector<std::string>& names) {
  std::size_t longest = 1;
  for (const auto& name : names) longest = std::max(longest, name.size());
  return std::clamp(7.0 * static_cast<double>(longest) + 22, 34.0, 110.0);
}

std::string heat_class(double value, double largest) {
  if (!std::isfinite(value)) return "heat-none";
  const int step = largest > 0 ? static_cast<int>(std::lround(kHeatSteps * value / largest)) : 0;
  return fmt::format("h{}", step);
}

std::string legend(double left, double top, double largest, const std::string& unit) {
  constexpr double kCell = 8;
  std::string out;
  for (int step = -kHeatSteps; step <= kHeatSteps; ++step)
    out += svg::rect(left + kCell * (step + kHeatSteps), top, kCell, 10, fmt::format("h{}", step));
  const double middle = left + kCell * (kHeatSteps + 0.5), right = left + kCell * (2 * kHeatSteps + 1);
  out += svg::text({left, top + 22}, significant(-largest, 2), "tick", "start");
  out += svg::text({middle, top + 22}, "0", "tick", "middle");
  out += svg::text({right, top + 22}, significant(largest, 2), "tick", "end");
  return out + svg::text({right + 8, top + 10}, unit, "tick", "start");
}

}  // namespace

std::string heatmap_chart(const HeatmapChart& chart) {
  const double left = label_room(chart.rows);
  const double columns = static_cast<double>(std::max<std::size_t>(1, chart.columns.size()));
  const double cell = std::min(34.0, (kHeatWidth - left) / columns);
  const double row_height = std::clamp(cell, 11.0, 27.0);
  double largest = 0;
  for (const double v : chart.values)
    if (std::isfinite(v)) largest = std::max(largest, std::abs(v));

  std::string body = svg::text({left + cell * columns / 2, 11}, chart.column_axis, "axis-name", "middle");
  const bool slanted = cell < 18 || label_room(chart.columns) - 22 > cell;  // names that do not fit side by side
  const double top = slanted ? kHeatTop + 34 : kHeatTop;
  for (std::size_t c = 0; c < chart.columns.size(); ++c) {
    const double x = left + cell * (static_cast<double>(c) + 0.5);
    if (slanted)
      body += fmt::format("<g transform=\"rotate(-45 {0:.1f} {1:.1f})\">{2}</g>", x, top - 5,
                          svg::text({x, top - 5}, chart.columns[c], "label", "start"));
    else body += svg::text({x, top - 5}, chart.columns[c], "label", "middle");
  }
  for (std::size_t r = 0; r < chart.rows.size(); ++r) {
    const double y = top + row_height * static_cast<double>(r);
    body += svg::text({left - 6, y + row_height / 2 + 4}, chart.rows[r], "label", "end");
    for (std::size_t c = 0; c < chart.columns.size(); ++c) {
      const std::size_t at = r * chart.columns.size() + c;
      body += svg::rect(left + cell * static_cast<double>(c), y, cell - 1, row_height - 1,
                        heat_class(chart.values[at], largest) + (chart.rows[r] == chart.columns[c] ? " own-cell" : ""),
                        at < chart.tips.size() ? chart.tips[at] : std::string());
    }
  }
  const double bottom = top + row_height * static_cast<double>(chart.rows.size());
  body += fmt::format("<g transform=\"rotate(-90 10 {0:.1f})\">{1}</g>", (top + bottom) / 2,
                      svg::text({10, (top + bottom) / 2}, chart.row_axis, "axis-name", "middle"));
  body += legend(left, bottom + 10, largest, chart.unit);
  return svg::drawing(kHeatWidth, bottom + 36, chart.title, chart.description, body);
}

}  // namespace guda::orchestrator::report
