// Heat maps of mean scores, and the gallery of what the counterfactual models draw.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "common/error.hpp"
#include "common/html_escape.hpp"
#include "orchestrator/report/charts.hpp"
#include "orchestrator/report/markup.hpp"
#include "orchestrator/report/numbers.hpp"
#include "orchestrator/report/sections.hpp"

namespace guda::orchestrator::report {
namespace {

std::string row_name(const Heatmap& map, std::size_t r) {
  return r < map.queries.size() ? fmt::format("{} ({})", map.rows[r], map.queries[r]) : map.rows[r];
}

/// The numbers behind the colours, for those who cannot hover or do not see them.
std::string number_table(const Heatmap& map) {
  std::string head = "<tr><th scope=\"col\">class (queries)</th>", rows;
  for (const auto& group : map.columns)
    head += fmt::format("<th scope=\"col\" class=\"num\">{}</th>", escape_html(group));
  for (std::size_t r = 0; r < map.rows.size(); ++r) {
    rows += fmt::format("<tr><th scope=\"row\">{}</th>", escape_html(row_name(map, r)));
    for (std::size_t c = 0; c < map.columns.size(); ++c)
      rows += fmt::format("<td class=\"num\">{}</td>", significant(map.mean[r * map.columns.size() + c], 2));
    rows += "</tr>\n";
  }
  return fmt::format("<details class=\"numbers\"><summary>numbers</summary>{}</details>",
                     scrolling("Mean scores of " + map.method,
                               fmt::format("<table><thead>{}</tr></thead><tbody>{}</tbody></table>", head, rows)));
}

std::string heatmap_figure(const ReportData& data, const Heatmap& map) {
  if (map.mean.size() != map.rows.size() * map.columns.size())
    throw Bug(fmt::format("report: heat map of {} has {} values for {} x {}", map.method, map.mean.size(),
                          map.rows.size(), map.columns.size()));
  HeatmapChart chart;
  chart.title = fmt::format("Mean score by {}, {} queries", map.method, map.query_set);
  chart.unit = data.score_unit;
  chart.row_axis = "query class";
  chart.column_axis = "group left out";
  chart.rows = map.rows;
  chart.columns = map.columns;
  chart.values = map.mean;
  std::size_t own_first = 0, with_own = 0;
  for (std::size_t r = 0; r < map.rows.size(); ++r) {
    std::size_t top = 0;
    bool has_own = false;
    for (std::size_t c = 0; c < map.columns.size(); ++c) {
      const double value = map.mean[r * map.columns.size() + c];
      chart.tips.push_back(fmt::format("queries of {}, group {}: {}{}", map.rows[r], map.columns[c],
                                       std::isfinite(value) ? significant(value) + " " : "not evaluated",
                                       std::isfinite(value) ? data.score_unit : ""));
      has_own = has_own || map.rows[r] == map.columns[c];
      if (std::isfinite(value) && !(map.mean[r * map.columns.size() + top] >= value)) top = c;
    }
    with_own += has_own;
    own_first += has_own && map.columns[top] == map.rows[r];
  }
  chart.description =
      fmt::format("{} rows, {} columns; the largest mean score is on the row's own group in {} of {} rows.",
                  map.rows.size(), map.columns.size(), own_first, with_own);
  return fmt::format("<figure><figcaption><b>{}</b> <span>{} queries</span></figcaption>{}{}</figure>\n",
                     breakable(map.method), escape_html(map.query_set), heatmap_chart(chart), number_table(map));
}

/// Small pictures in CSS pixels so that eight stand side by side; larger ones at their own size up to 64.
int shown_size(const std::vector<Picture>& pictures) {
  std::uint32_t largest = 34;
  for (const auto& p : pictures) largest = std::max({largest, p.width, p.height});
  return static_cast<int>(std::min(largest, 64U));
}

std::string gallery_row(std::string_view heading, const std::vector<Picture>& pictures, std::size_t columns,
                        const std::string& what) {
  std::string row = fmt::format("<tr><th scope=\"row\">{}</th>", escape_html(heading));
  for (std::size_t c = 0; c < columns; ++c) {
    static const Picture kNone;
    row += "<td>" +
           picture_img(c < pictures.size() ? pictures[c] : kNone, fmt::format("noise {}, {}", c + 1, what),
                       shown_size(pictures)) +
           "</td>";
  }
  return row + "</tr>\n";
}

/// A row for every group whose style a column asks for: that picture by the full model and by each method's model
/// without the group.
std::string style_panels(const Gallery& gallery) {
  std::string head = "<th scope=\"col\">full model</th>", rows;
  for (const auto& block : gallery.blocks) head += fmt::format("<th scope=\"col\">{}</th>", breakable(block.method));
  for (std::size_t c = 0; c < gallery.prompts.size(); ++c) {
    const Gallery::Prompt& prompt = gallery.prompts[c];
    if (prompt.group.empty() || c >= gallery.full.size()) continue;
    rows += fmt::format("<tr><th scope=\"row\">without {}</th><td>{}</td>", escape_html(prompt.group),
                        picture_img(gallery.full[c], "full model, " + prompt.text, shown_size(gallery.full)));
    for (const auto& block : gallery.blocks) {
      const auto row = std::find_if(block.rows.begin(), block.rows.end(),
                                    [&](const Gallery::Row& r) { return r.group == prompt.group; });
      static const Picture kNone;
      const bool there = row != block.rows.end() && c < row->pictures.size();
      rows += fmt::format("<td>{}</td>", picture_img(there ? row->pictures[c] : kNone,
                                                     fmt::format("{} without {}", block.method, prompt.group),
                                                     shown_size(gallery.full)));
    }
    rows += fmt::format("<td class=\"prompt\">{}</td></tr>\n", escape_html(prompt.text));
  }
  if (rows.empty()) return "";
  return fmt::format(
      "<figure><figcaption><b>Each style by its own prompt</b></figcaption>{}</figure>\n",
      scrolling("Each style by its own prompt",
                fmt::format("<table class=\"gallery\"><thead><tr><td></td>{}<th scope=\"col\">prompt</th></tr></thead>"
                            "<tbody>{}</tbody></table>",
                            head, rows)));
}

}  // namespace

std::string heatmaps_section(const ReportData& data) {
  constexpr std::string_view kHeading = "Which groups matter to which queries";
  if (data.heatmaps.empty())
    return section("heatmaps", kHeading,
                   missing(data, "heatmaps", "No heat maps: no method has scores for queries whose class is known."));
  std::string figures;
  for (const Heatmap& map : data.heatmaps) figures += heatmap_figure(data, map);
  return section("heatmaps", kHeading,
                 "<p class=\"lede\">Mean score of the queries of a class (rows) when a group is left out (columns). "
                 "Orange: leaving the group out makes "
                 "the queries less likely, so it contributed; blue: more likely. Each map has its own scale; the "
                 "outlined cells are a class against its "
                 "own group.</p>\n<div class=\"charts\">" +
                     figures + "</div>");
}

std::string gallery_section(const ReportData& data) {
  constexpr std::string_view kHeading = "What the counterfactual models draw";
  const Gallery& gallery = data.gallery;
  if (gallery.full.empty() && gallery.blocks.empty())
    return section("gallery", kHeading,
                   missing(data, "gallery",
                           "No gallery: the weights of the counterfactual models were not kept, so nothing could be "
                           "drawn from them."));
  std::size_t columns = gallery.full.size();
  for (const auto& block : gallery.blocks)
    for (const auto& row : block.rows) columns = std::max(columns, row.pictures.size());
  std::string head = "<tr><th scope=\"col\">noise</th>";
  for (std::size_t c = 0; c < columns; ++c) {
    const std::string prompt = c < gallery.prompts.size() ? escape_html(gallery.prompts[c].text) : "";
    head += prompt.empty() ? fmt::format("<th scope=\"col\">{}</th>", c + 1)
                           : fmt::format("<th scope=\"col\" title=\"{}\">{}</th>", prompt, c + 1);
  }
  const std::string full =
      gallery.full.empty() ? std::string() : gallery_row("full model", gallery.full, columns, "full model");
  std::string blocks;
  const auto block_html = [&](const std::string& method, const std::string& rows) {
    return fmt::format(
        "<figure><figcaption><b>{}</b></figcaption>{}</figure>\n", breakable(method),
        scrolling("Pictures drawn by " + method,
                  fmt::format("<table class=\"gallery\"><thead>{}</tr></thead><tbody>{}</tbody></table>", head, rows)));
  };
  for (const auto& block : gallery.blocks) {
    std::string rows = full;
    for (const auto& row : block.rows)
      rows += gallery_row("without " + row.group, row.pictures, columns,
                          fmt::format("{} without {}", block.method, row.group));
    blocks += block_html(block.method, rows);
  }
  if (gallery.blocks.empty()) blocks = block_html("full model", full);
  return section("gallery", kHeading,
                 "<p class=\"lede\">Every column starts from the same initial noise. A picture that changes against "
                 "the full model (first row) when a group "
                 "is left out is one that the group helped to make; an unlearned model should draw what the retrained "
                 "one draws.</p>\n" +
                     style_panels(gallery) + "<div class=\"galleries\">" + blocks + "</div>");
}

}  // namespace guda::orchestrator::report
