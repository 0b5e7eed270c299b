#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "common/html_escape.hpp"
#include "orchestrator/report/markup.hpp"
#include "orchestrator/report/numbers.hpp"
#include "orchestrator/report/sections.hpp"

namespace guda::orchestrator::report {
namespace {

constexpr std::size_t kShown = 3;

const MethodAnswer* answer_of(const QueryCard& card, const std::string& method) {
  for (const auto& answer : card.answers)
    if (answer.method == method && !answer.top.empty()) return &answer;
  return nullptr;
}

/// In words, not in colour alone: what this answer says beside the reference.
std::string verdict(const ReportData& data, const QueryCard& card, const MethodAnswer& answer) {
  std::string out;
  if (answer.top.empty()) return "<span class=\"note\">not evaluated</span>";
  const MethodAnswer* reference = answer_of(card, data.reference);
  if (answer.method == data.reference) out = "<span class=\"note\">reference</span>";
  else if (reference != nullptr)
    out = answer.top[0].group == reference->top[0].group ? "<span class=\"agrees\">\u2713 agrees</span>"
                                                         : "<span class=\"differs\">differs</span>";
  if (answer.undecided)
    out += fmt::format(
        " <span class=\"undecided\" title=\"the two best are closer than two standard errors\">undecided</span>");
  return out;
}

std::string place(const MethodAnswer& answer, std::size_t i, const std::string& unit) {
  if (i >= answer.top.size()) return "<td></td>";
  const GroupScore& s = answer.top[i];
  double largest = 0;
  for (std::size_t j = 0; j < std::min(kShown, answer.top.size()); ++j)
    largest = std::max(largest, std::abs(answer.top[j].score));
  const double share = largest > 0 && std::isfinite(s.score) ? std::max(0.0, s.score) / largest : 0;
  const std::string number = significant(s.score, 2);
  const std::string error = std::isfinite(s.standard_error) ? "\u00b1\u00a0" + significant(s.standard_error, 1) : "";
  return fmt::format(
      "<td><b>{}</b> <span class=\"score\">{}</span><span class=\"error\">{}</span><span class=\"meter\" title=\"{} {} "
      "{}\"><span style=\"width:{:.0f}%\">"
      "</span></span></td>",
      escape_html(s.group), number, error, number, error, escape_html(unit), 100 * share);
}

std::string card_html(const ReportData& data, const QueryCard& card) {
  std::string rows;
  for (const MethodAnswer& answer : card.answers) {
    rows += fmt::format("<tr class=\"{}\"><th scope=\"row\">{}<br>{}</th>", kind_class(data, answer.method),
                        breakable(answer.method), verdict(data, card, answer));
    for (std::size_t i = 0; i < kShown; ++i) rows += place(answer, i, data.score_unit);
    rows += "</tr>\n";
  }
  const std::string about = card.true_group.empty() ? escape_html(card.set)
                                                    : fmt::format("{} \u00b7 {} <b>{}</b>", escape_html(card.set),
                                                                  card.asked_for ? "style asked for" : "true group",
                                                                  escape_html(card.true_group));
  const std::string prompt =
      card.prompt.empty() ? "" : fmt::format("<p class=\"note\">{}</p>", escape_html(card.prompt));
  return fmt::format(
      "<article class=\"card\"><header>{}<div><h3>{}</h3><p>{}</p>{}</div></header>"
      "<table><thead><tr><th scope=\"col\">method</th><th scope=\"col\">1st</th><th scope=\"col\">2nd</th><th "
      "scope=\"col\">3rd</th>"
      "</tr></thead><tbody>\n{}</tbody></table></article>\n",
      picture_img(card.picture, "query " + card.name, 88), breakable(card.name), about, prompt, rows);
}

}  // namespace

std::string queries_section(const ReportData& data) {
  if (data.cards.empty())
    return section(
        "queries", "Sample queries",
        missing(data, "cards", "No sample queries: none has been evaluated by the reference and a method yet."));
  std::string cards;
  for (const QueryCard& card : data.cards) cards += card_html(data, card);
  return section("queries", "Sample queries",
                 fmt::format("<p class=\"lede\">The three groups that each method names first, with score \u00b1 "
                             "standard error in {}. Scores of "
                             "different methods have different scales: compare the order. <em>Undecided</em>: the two "
                             "best are closer than two "
                             "standard errors.</p>\n<div class=\"cards\">\n{}</div>",
                             escape_html(data.score_unit), cards));
}

}  // namespace guda::orchestrator::report
