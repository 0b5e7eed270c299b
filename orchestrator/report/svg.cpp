#include "orchestrator/report/svg.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "common/error.hpp"
#include "common/html_escape.hpp"

namespace guda::orchestrator::report::svg {
namespace {

/// At most one decimal. A coordinate that is not a number would silently spoil the drawing.
std::string number(double value) {
  if (!std::isfinite(value)) throw Bug("svg: a coordinate is not a finite number");
  const double tenths = std::round(value * 10);
  return fmt::format("{}", tenths == 0 ? 0.0 : tenths / 10);
}

std::string with_tip(std::string_view element, std::string_view name, std::string_view tip) {
  if (tip.empty()) return fmt::format("{}/>", element);
  return fmt::format("{}><title>{}</title></{}>", element, escape_html(tip), name);
}

std::string coordinates(const std::vector<Point>& points) {
  std::string list;
  for (const Point& p : points) list += (list.empty() ? "" : " ") + number(p.x) + "," + number(p.y);
  return list;
}

}  // namespace

std::string drawing(double width, double height, std::string_view title, std::string_view description,
                    std::string_view body) {
  return fmt::format(
      "<svg role=\"img\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" "
      "height=\"{1}\"><title>{2}</title><desc>{3}</desc>{4}</svg>\n",
      number(width), number(height), escape_html(title), escape_html(description), body);
}

std::string rect(double x, double y, double width, double height, std::string_view css_class, std::string_view tip) {
  return with_tip(fmt::format("<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" class=\"{}\"", number(x), number(y),
                              number(std::max(0.0, width)), number(std::max(0.0, height)), css_class),
                  "rect", tip);
}

std::string line(Point from, Point to, std::string_view css_class) {
  return fmt::format("<line x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\" class=\"{}\"/>", number(from.x), number(from.y),
                     number(to.x), number(to.y), css_class);
}

std::string dot(Point centre, double radius, std::string_view css_class, std::string_view tip) {
  return with_tip(fmt::format("<circle cx=\"{}\" cy=\"{}\" r=\"{}\" class=\"{}\"", number(centre.x), number(centre.y),
                              number(radius), css_class),
                  "circle", tip);
}

std::string text(Point at, std::string_view content, std::string_view css_class, std::string_view anchor) {
  return fmt::format("<text x=\"{}\" y=\"{}\" class=\"{}\" text-anchor=\"{}\">{}</text>", number(at.x), number(at.y),
                     css_class, anchor, escape_html(content));
}

std::string path(const std::vector<Point>& points, std::string_view css_class) {
  return fmt::format("<polyline points=\"{}\" class=\"{}\"/>", coordinates(points), css_class);
}

std::string band(const std::vector<Point>& upper, const std::vector<Point>& lower, std::string_view css_class) {
  std::vector<Point> outline = upper;
  outline.insert(outline.end(), lower.rbegin(), lower.rend());
  return fmt::format("<polygon points=\"{}\" class=\"{}\"/>", coordinates(outline), css_class);
}

}  // namespace guda::orchestrator::report::svg
