#pragma once
// HTML pieces that several sections of the report share.
#include <string>
#include <string_view>

#include "orchestrator/report/report_data.hpp"

namespace guda::orchestrator::report {

/// <section id> with its heading; `body` is markup.
[[nodiscard]] std::string section(std::string_view id, std::string_view heading, std::string_view body);
/// The sentence that stands for a missing part: why_missing[key], or `otherwise`.
[[nodiscard]] std::string missing(const ReportData& data, const std::string& key, std::string_view otherwise);
/// An escaped name that may break after '_' and '/'.
[[nodiscard]] std::string breakable(std::string_view name);
/// The same in the type of code.
[[nodiscard]] std::string code(std::string_view name);
/// A wide table: scrolls inside its own container, which the keyboard can reach.
[[nodiscard]] std::string scrolling(std::string_view label, std::string_view table);
/// <img> with the picture inside as PNG; drawn without smoothing, `css_pixels` wide and high at most.
[[nodiscard]] std::string picture_img(const Picture& picture, std::string_view alt, int css_pixels);
/// Kind of a method as a CSS class: k-reference, k-guda, k-control, k-other.
[[nodiscard]] std::string kind_class(const ReportData& data, std::string_view method);
[[nodiscard]] std::string kind_of(const ReportData& data, std::string_view method);

}  // namespace guda::orchestrator::report
