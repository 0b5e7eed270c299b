#pragma once
// Words of a static SVG drawing. All functions are pure and return well-formed markup; text and titles are escaped
// here, classes are ours. Colours come from the page's style sheet through classes, so a drawing follows light and
// dark.
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace guda::orchestrator::report::svg {

struct Point {
  double x = 0, y = 0;
};

/// A whole drawing of width x height units, shown at most at that size in px and shrunk to its container.
/// `title` is its accessible name, `description` says in words what it shows.
[[nodiscard]] std::string drawing(double width, double height, std::string_view title, std::string_view description,
                                  std::string_view body);
/// A non-empty `tip` is shown by the browser on hover.
[[nodiscard]] std::string rect(double x, double y, double width, double height, std::string_view css_class,
                               std::string_view tip = {});
[[nodiscard]] std::string line(Point from, Point to, std::string_view css_class);
[[nodiscard]] std::string dot(Point centre, double radius, std::string_view css_class, std::string_view tip = {});
/// `anchor`: start | middle | end.
[[nodiscard]] std::string text(Point at, std::string_view content, std::string_view css_class,
                               std::string_view anchor = "start");
/// A polyline through the points.
[[nodiscard]] std::string path(const std::vector<Point>& points, std::string_view css_class);
/// The area between two lines with equal numbers of points.
[[nodiscard]] std::string band(const std::vector<Point>& upper, const std::vector<Point>& lower,
                               std::string_view css_class);

}  // namespace guda::orchestrator::report::svg
