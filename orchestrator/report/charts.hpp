#pragma once
// The three kinds of chart of the report. Each returns one <svg>; nothing else is needed but the page's style sheet.
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "orchestrator/report/axis.hpp"

namespace guda::orchestrator::report {

/// Horizontal bars with intervals; NaN `value` leaves the bar out and says n/a.
struct BarChart {
  struct Bar {
    std::string label;
    double value = 0;
    double low = std::numeric_limits<double>::quiet_NaN(), high = std::numeric_limits<double>::quiet_NaN();
    std::string css_class;   ///< colour: k-guda, k-control, ...
    std::string value_text;  ///< printed at the end of the bar
  };
  struct Band {
    double value = 0, low = 0, high = 0;  ///< low..high is shaded, value is a line
  };
  std::string title, description;
  std::vector<Bar> bars;
  double lowest = 0, highest = 1;  ///< extent of the axis; widened to hold all bars and intervals
  std::optional<double> chance;
  std::optional<Band> ceiling;
  std::string axis_suffix;  ///< e.g. " s", printed after the last tick
};
[[nodiscard]] std::string bar_chart(const BarChart& chart);

/// A matrix in the diverging palette, white at 0, symmetrical up to the largest magnitude; with its legend.
struct HeatmapChart {
  std::string title, description, unit;
  std::string row_axis, column_axis;  ///< what rows and columns are
  std::vector<std::string> rows, columns;
  std::vector<double> values;     ///< [row, column]; NaN is drawn as "not evaluated"
  std::vector<std::string> tips;  ///< [row, column] text on hover
};
[[nodiscard]] std::string heatmap_chart(const HeatmapChart& chart);

/// Steps of the diverging palette on each side of 0: classes h-12 ... h0 ... h12.
inline constexpr int kHeatSteps = 12;

/// Lines over a shared x.
struct LineChart {
  struct Series {
    std::string name;
    std::string css_class;         ///< s-own, s-others
    std::vector<double> y, error;  ///< error: half-width of the band; may be empty
  };
  std::string title, description, x_label, y_label;
  std::vector<double> x;
  std::vector<Series> series;
  ScaleKind x_scale = ScaleKind::linear;
  ScaleKind y_scale = ScaleKind::linear;  ///< log is not possible for differences: linear or symlog
  double linear_within = 1;               ///< symlog only
};
[[nodiscard]] std::string line_chart(const LineChart& chart);

}  // namespace guda::orchestrator::report
