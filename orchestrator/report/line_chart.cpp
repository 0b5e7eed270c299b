#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "orchestrator/report/charts.hpp"
#include "orchestrator/report/numbers.hpp"
#include "orchestrator/report/svg.hpp"

namespace guda::orchestrator::report {
namespace {

constexpr double kLineWidth = 370, kLineHeight = 210, kLineLeft = 52, kLineRight = 8, kLineTop = 20, kLineBottom = 36;

double error_at(const LineChart::Series& series, std::size_t i) {
  return i < series.error.size() && std::isfinite(series.error[i]) ? series.error[i] : 0;
}

Axis x_axis(const LineChart& chart) {
  Axis axis{.kind = chart.x_scale, .from = kLineLeft, .to = kLineWidth - kLineRight};
  const auto [low, high] = std::minmax_element(chart.x.begin(), chart.x.end());
  axis.low = *low;
  axis.high = *high;
  if (axis.kind == ScaleKind::linear && axis.low > 0 && axis.low < 0.1 * axis.high) axis.low = 0;
  if (axis.kind == ScaleKind::log) axis.low = std::max(axis.low, 1e-12 * axis.high);
  if (!(axis.high > axis.low)) axis.high = axis.low + 1;
  return axis;
}

Axis y_axis(const LineChart& chart) {
  Axis axis{.kind = chart.y_scale,
            .low = 0,
            .high = 0,
            .from = kLineHeight - kLineBottom,
            .to = kLineTop,
            .linear_within = chart.linear_within};
  for (const auto& series : chart.series)
    for (std::size_t i = 0; i < series.y.size(); ++i) {
      if (!std::isfinite(series.y[i])) continue;
      axis.low = std::min(axis.low, series.y[i] - error_at(series, i));
      axis.high = std::max(axis.high, series.y[i] + error_at(series, i));
    }
  if (!(axis.high > axis.low)) axis.high = axis.low + 1;
  return axis;
}

/// One line for each run of finite values: a gap in the data stays a gap.
std::string one_series(const LineChart& chart, const LineChart::Series& series, const Axis& x, const Axis& y) {
  std::string bands, lines, dots;
  std::vector<svg::Point> points, upper, lower;
  const auto finish = [&] {
    if (points.size() > 1) {
      if (!series.error.empty()) bands += svg::band(upper, lower, "band " + series.css_class);
      lines += svg::path(points, "series " + series.css_class);
    }
    points.clear(), upper.clear(), lower.clear();
  };
  for (std::size_t i = 0; i < chart.x.size() && i < series.y.size(); ++i) {
    if (!std::isfinite(series.y[i])) {
      finish();
      continue;
    }
    const double px = x.at(chart.x[i]), error = error_at(series, i);
    points.push_back({px, y.at(series.y[i])});
    upper.push_back({px, y.at(series.y[i] + error)});
    lower.push_back({px, y.at(series.y[i] - error)});
    std::string tip =
        fmt::format("{} = {}: {} {}", chart.x_label, significant(chart.x[i], 4), series.name, significant(series.y[i]));
    if (error > 0) tip += " \u00b1 " + significant(error, 2);
    dots += svg::dot(points.back(), 2, "dot " + series.css_class, tip);
  }
  finish();
  return bands + lines + dots;
}

}  // namespace

std::string line_chart(const LineChart& chart) {
  if (chart.x.empty()) return {};
  const Axis x = x_axis(chart), y = y_axis(chart);
  std::string body = svg::text({kLineLeft, 11}, chart.y_label, "axis-name", "start");
  double last = 1e9;
  for (const double tick : ticks(y, 6)) {
    if (last - y.at(tick) < 11) continue;  // labels of a symlog axis crowd around 0
    last = y.at(tick);
    body += svg::line({kLineLeft, y.at(tick)}, {kLineWidth - kLineRight, y.at(tick)}, tick == 0 ? "axis" : "grid");
    body += svg::text({kLineLeft - 6, y.at(tick) + 4}, shortest(tick), "tick", "end");
  }
  for (const double tick : ticks(x, 5)) {
    body += svg::line({x.at(tick), kLineHeight - kLineBottom}, {x.at(tick), kLineHeight - kLineBottom + 4}, "grid");
    body += svg::text({x.at(tick), kLineHeight - kLineBottom + 16}, shortest(tick), "tick", "middle");
  }
  body += svg::text({(kLineLeft + kLineWidth - kLineRight) / 2, kLineHeight - 4}, chart.x_label, "axis-name", "middle");
  for (auto series = chart.series.rbegin(); series != chart.series.rend(); ++series)  // the first lies on top
    body += one_series(chart, *series, x, y);
  return svg::drawing(kLineWidth, kLineHeight, chart.title, chart.description, body);
}

}  // namespace guda::orchestrator::report
