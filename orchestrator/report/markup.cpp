#include "orchestrator/report/markup.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "common/base64.hpp"
#include "common/html_escape.hpp"
#include "orchestrator/report/picture.hpp"

namespace guda::orchestrator::report {

bool undecided(const std::vector<GroupScore>& descending) {
  if (descending.size() < 2) return false;
  const double difference = std::abs(descending[0].score - descending[1].score);
  const double error = std::hypot(descending[0].standard_error, descending[1].standard_error);
  return std::isfinite(error) && difference < 2 * error;
}

std::string section(std::string_view id, std::string_view heading, std::string_view body) {
  return fmt::format(
      "<section id=\"{0}\" aria-labelledby=\"{0}-heading\">\n<h2 id=\"{0}-heading\">{1}</h2>\n{2}\n</section>\n", id,
      escape_html(heading), body);
}

std::string missing(const ReportData& data, const std::string& key, std::string_view otherwise) {
  const auto found = data.why_missing.find(key);
  return fmt::format("<p class=\"missing\">{}</p>",
                     escape_html(found != data.why_missing.end() ? found->second : otherwise));
}

std::string breakable(std::string_view name) {
  std::string out;
  for (const char c : escape_html(name)) {
    out += c;
    if (c == '_' || c == '/') out += "<wbr>";
  }
  return out;
}

std::string code(std::string_view name) { return "<code>" + breakable(name) + "</code>"; }

std::string scrolling(std::string_view label, std::string_view table) {
  return fmt::format("<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{}\">{}</div>\n",
                     escape_html(label), table);
}

std::string picture_img(const Picture& picture, std::string_view alt, int css_pixels) {
  if (picture.empty())
    return fmt::format("<span class=\"no-picture\" style=\"width:{0}px;height:{0}px\">no picture</span>", css_pixels);
  const double scale = css_pixels / static_cast<double>(std::max({picture.width, picture.height, 1U}));
  return fmt::format("<img alt=\"{}\" width=\"{:.0f}\" height=\"{:.0f}\" src=\"data:image/png;base64,{}\">",
                     escape_html(alt), std::max(1.0, picture.width * scale), std::max(1.0, picture.height * scale),
                     base64(png_of(picture)));
}

std::string kind_of(const ReportData& data, std::string_view method) {
  for (const MethodInfo& info : data.methods)
    if (info.name == method) return info.kind;
  return method == data.reference ? "reference" : "other";
}

std::string kind_class(const ReportData& data, std::string_view method) {
  const std::string kind = kind_of(data, method);
  return kind == "reference" || kind == "guda" || kind == "control" ? "k-" + kind : "k-other";
}

}  // namespace guda::orchestrator::report
