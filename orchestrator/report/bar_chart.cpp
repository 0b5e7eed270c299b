#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "orchestrator/report/charts.hpp"
#include "orchestrator/report/numbers.hpp"
#include "orchestrator/report/svg.hpp"

namespace guda::orchestrator::report {
namespace {

constexpr double kBarWidth = 370, kBarLabels = 118, kBarTop = 8, kBarRow = 24, kBarThickness = 13, kBarFoot = 24;

/// Long names keep both ends, which differ most often.
std::string shortened(const std::string& name, std::size_t most) {
  if (name.size() <= most) return name;
  std::size_t head = most / 2, tail = name.size() - (most - head - 1);
  while (head > 0 && (static_cast<unsigned char>(name[head]) & 0xC0U) == 0x80U) --head;
  while (tail < name.size() && (static_cast<unsigned char>(name[tail]) & 0xC0U) == 0x80U) ++tail;
  return name.substr(0, head) + "\u2026" + name.substr(tail);
}

/// What is printed right of the bar: the interval has its whisker, its numbers are in the tip.
std::string printed(const BarChart::Bar& bar) { return bar.value_text.substr(0, bar.value_text.find(" [")); }

Axis extent_of(const BarChart& chart) {
  std::size_t longest = 0;
  for (const auto& bar : chart.bars) longest = std::max(longest, printed(bar).size());
  Axis axis{.low = chart.lowest,
            .high = chart.highest,
            .from = kBarLabels,
            .to = kBarWidth - 18 - 7.5 * static_cast<double>(longest)};
  for (const auto& bar : chart.bars)
    for (const double v : {bar.value, bar.low, bar.high})
      if (std::isfinite(v)) axis.low = std::min(axis.low, v), axis.high = std::max(axis.high, v);
  if (!(axis.high > axis.low)) axis.high = axis.low + 1;
  return axis;
}

std::string one_bar(const BarChart::Bar& bar, const Axis& x, double y) {
  const double middle = y + kBarRow / 2;
  std::string out = svg::text({kBarLabels - 6, middle + 4}, shortened(bar.label, 17), "label", "end");
  if (!std::isfinite(bar.value)) return out + svg::text({x.at(0) + 4, middle + 4}, "n/a", "value");
  const double zero = x.at(0), end = x.at(bar.value);
  out += svg::rect(std::min(zero, end), middle - kBarThickness / 2, std::abs(end - zero), kBarThickness, bar.css_class,
                   bar.label + ": " + bar.value_text);
  if (std::isfinite(bar.low) && std::isfinite(bar.high)) {
    out += svg::line({x.at(bar.low), middle}, {x.at(bar.high), middle}, "whisker");
    for (const double end_value : {bar.low, bar.high})
      out += svg::line({x.at(end_value), middle - 3}, {x.at(end_value), middle + 3}, "whisker");
  }
  return out + svg::text({kBarWidth, middle + 4}, printed(bar), "value", "end");
}

}  // namespace

std::string bar_chart(const BarChart& chart) {
  const Axis x = extent_of(chart);
  const double bottom = kBarTop + kBarRow * static_cast<double>(chart.bars.size());
  std::string body;
  const std::vector<double> marks = ticks(x, 4);
  for (const double tick : marks) {
    const std::string label = shortest(tick) + (tick == marks.back() ? chart.axis_suffix : "");
    body += svg::line({x.at(tick), kBarTop}, {x.at(tick), bottom}, "grid");
    body += svg::text({x.at(tick), bottom + 15}, label, "tick", "middle");
  }
  if (chart.ceiling) {
    const auto& c = *chart.ceiling;
    if (std::isfinite(c.low) && std::isfinite(c.high))
      body += svg::rect(x.at(c.low), kBarTop, x.at(c.high) - x.at(c.low), bottom - kBarTop, "ceiling-band");
    body += svg::line({x.at(c.value), kBarTop}, {x.at(c.value), bottom}, "ceiling");
  }
  double y = kBarTop;
  for (const auto& bar : chart.bars) {
    body += one_bar(bar, x, y);
    y += kBarRow;
  }
  if (chart.chance) body += svg::line({x.at(*chart.chance), kBarTop}, {x.at(*chart.chance), bottom}, "chance");
  body += svg::line({x.at(0), kBarTop}, {x.at(0), bottom}, "axis");
  return svg::drawing(kBarWidth, bottom + kBarFoot, chart.title, chart.description, body);
}

}  // namespace guda::orchestrator::report
