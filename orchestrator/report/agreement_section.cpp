#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "common/html_escape.hpp"
#include "orchestrator/report/charts.hpp"
#include "orchestrator/report/markup.hpp"
#include "orchestrator/report/numbers.hpp"
#include "orchestrator/report/sections.hpp"

namespace guda::orchestrator::report {
namespace {

/// Two decimals unless the intervals are so tight that a third carries something.
int decimals_for(const AgreementView& view) {
  std::vector<double> widths;
  for (const auto& method : view.methods) {
    const Estimate e = estimate_of(method.metrics, "top1");
    if (e.high > e.low) widths.push_back(e.high - e.low);  // no width: nothing varied, which is not precision
  }
  if (widths.empty()) return 2;
  std::nth_element(widths.begin(), widths.begin() + static_cast<std::ptrdiff_t>(widths.size() / 2), widths.end());
  return widths[widths.size() / 2] >= 0.02 ? 2 : 3;
}

std::string interval_text(const Estimate& e, int decimals) {
  if (!std::isfinite(e.low) || !std::isfinite(e.high)) return {};
  return fmt::format("[{}, {}]", fixed(e.low, decimals), fixed(e.high, decimals));
}

std::string against(const AgreementView& view) {
  if (view.reference_kind == "each") return "mean of the agreements with " + view.reference;
  return "against " + view.reference;
}

std::string view_name(const AgreementView& view) {
  return fmt::format("{} queries, {} weights, {}, {}", view.query_set, view.weighting,
                     view.draws == "same" ? "same draws (the papers\u2019 protocol)" : "independent draws",
                     against(view));
}

/// Metrics for which the view has any number.
std::vector<Metric> metrics_of(const AgreementView& view) {
  std::vector<Metric> found;
  for (const Metric& metric : kMetrics) {
    const auto has = [&](const Estimates& e) { return std::isfinite(estimate_of(e, metric.key).value); };
    if (has(view.ceiling) ||
        std::any_of(view.methods.begin(), view.methods.end(), [&](const auto& m) { return has(m.metrics); }))
      found.push_back(metric);
  }
  return found;
}

std::string metric_chart(const ReportData& data, const AgreementView& view, const Metric& metric, int decimals) {
  BarChart chart;
  chart.title = fmt::format("{}: {}", metric.label, view_name(view));
  chart.lowest = metric.lowest;
  for (const auto& method : view.methods) {
    if (method.name == view.reference) continue;
    const Estimate e = estimate_of(method.metrics, metric.key);
    const std::string text = fixed(e.value, decimals) + (std::isfinite(e.low) ? " " + interval_text(e, decimals) : "");
    chart.bars.push_back({method.name, e.value, e.low, e.high, kind_class(data, method.name), text});
    chart.description += fmt::format("{} {}; ", method.name, text);
  }
  const Estimate chance = estimate_of(view.chance, metric.key), ceiling = estimate_of(view.ceiling, metric.key);
  if (std::isfinite(chance.value)) {
    chart.chance = chance.value;
    chart.description += "chance " + fixed(chance.value, decimals) + "; ";
  }
  if (std::isfinite(ceiling.value)) {
    chart.ceiling = {ceiling.value, ceiling.low, ceiling.high};
    chart.description += fmt::format("ceiling {} {}", fixed(ceiling.value, decimals), interval_text(ceiling, decimals));
  }
  return fmt::format("<figure><figcaption><b>{}</b> <span>{}</span></figcaption>{}</figure>\n", metric.label,
                     metric.meaning, bar_chart(chart));
}

std::string cell(const Estimate& e, int decimals, bool best) {
  if (!std::isfinite(e.value)) return "<td class=\"num\">\u2013</td>";
  const bool as_good = !best && std::isfinite(e.p_vs_best) && e.p_vs_best >= 0.05;
  return fmt::format("<td class=\"num{}\"{}>{}{}<br><span class=\"interval\">{}</span></td>", best ? " best" : "",
                     std::isfinite(e.p_vs_best) && !best
                         ? fmt::format(" title=\"p against the best: {}\"", significant(e.p_vs_best, 2))
                         : "",
                     as_good ? "\u2248\u2009" : "", fixed(e.value, decimals), interval_text(e, decimals));
}

std::string table_row(std::string_view css_class, const std::string& name, const Estimates& estimates,
                      const std::string& seconds, const std::string& fidelity, const std::vector<Metric>& metrics,
                      const std::map<std::string_view, double>& best, int decimals) {
  std::string row =
      fmt::format("<tr class=\"{}\"><th scope=\"row\">{}{}</th>", css_class, name,
                  fidelity.empty() ? "" : "<br><span class=\"note\">" + escape_html(fidelity) + "</span>");
  for (const Metric& metric : metrics) {
    const Estimate e = estimate_of(estimates, metric.key);
    const auto top = best.find(metric.key);
    row += cell(e, decimals, top != best.end() && e.value == top->second);
  }
  return row + fmt::format("<td class=\"num\">{}</td></tr>\n", seconds);
}

std::string view_table(const ReportData& data, const AgreementView& view, const std::vector<Metric>& metrics,
                       int decimals) {
  std::map<std::string_view, double> best;
  for (const Metric& metric : metrics)
    for (const auto& method : view.methods) {
      const double value = estimate_of(method.metrics, metric.key).value;
      if (method.name == view.reference || !std::isfinite(value)) continue;
      const auto [at, is_new] = best.try_emplace(metric.key, value);
      if (!is_new) at->second = std::max(at->second, value);
    }
  std::string head = "<tr><th scope=\"col\">method</th>";
  for (const Metric& metric : metrics)
    head +=
        fmt::format("<th scope=\"col\" class=\"num\"><abbr title=\"{}\">{}</abbr></th>", metric.meaning, metric.label);
  head += "<th scope=\"col\" class=\"num\">device time</th></tr>";

  const std::map<std::string_view, double> none;
  std::string rows;
  for (const auto& method : view.methods)
    if (method.name != view.reference)
      rows += table_row(kind_class(data, method.name), breakable(method.name), method.metrics,
                        std::isfinite(method.device_seconds) ? duration(method.device_seconds) : "\u2013",
                        method.fidelity, metrics, best, decimals);
  const auto extra = [&](const char* name, const char* what, const Estimates& estimates) {
    if (!estimates.empty()) rows += table_row("extra", name, estimates, "\u2013", what, metrics, none, decimals);
  };
  extra("ceiling", "another reference seed", view.ceiling);
  extra("repeatability", "reference, other draws", view.repeatability);
  extra("chance", "a random order", view.chance);
  return scrolling("Agreement table: " + view_name(view),
                   fmt::format("<table class=\"agreement\"><thead>{}</thead><tbody>\n{}</tbody></table>", head, rows));
}

std::string view_html(const ReportData& data, const AgreementView& view, bool open) {
  const std::vector<Metric> metrics = metrics_of(view);
  const int decimals = decimals_for(view);
  std::string charts;
  for (const Metric& metric : metrics)
    if (metric.charted) charts += metric_chart(data, view, metric, decimals);
  std::string body = fmt::format(
      "<p>{} of {}; reference {}.{}</p>", counted(view.queries, "query", "queries"), counted(view.groups, "group"),
      code(view.reference),
      view.draws == "same" ? " Reference and methods saw the same noise here, as in the published protocol: part of "
                             "the agreement is shared noise, so do not read it as agreement about the data."
                           : "");
  body += fmt::format("<div class=\"charts\">{}</div>\n{}", charts, view_table(data, view, metrics, decimals));
  if (view.ceiling.empty())
    body += missing(data, "ceiling",
                    "No ceiling: the experiment names no second seed of the reference, so how well the reference "
                    "agrees with itself is not known.");
  if (view.repeatability.empty())
    body += missing(data, "repeatability", "No repeatability: the reference was not scored again with other draws.");
  return fmt::format("<details class=\"view\"{}><summary>{}</summary>\n{}</details>\n", open ? " open" : "",
                     escape_html(view_name(view)), body);
}

/// With two LOGO seeds the views that a ceiling stands beside, the mean of the agreements with either; else all.
Views headline_views(const Views& all) {
  Views views;
  std::copy_if(all.begin(), all.end(), std::back_inserter(views),
               [](const auto& v) { return v.reference_kind == "each"; });
  return views.empty() ? all : views;
}

/// Top-1 of every method in every headline view, so that nobody must open them all.
std::string overview(const ReportData& data, const Views& all) {
  const Views views = headline_views(all);
  std::vector<std::string> methods;
  for (const auto& view : views)
    for (const auto& method : view.methods)
      if (method.name != view.reference && std::find(methods.begin(), methods.end(), method.name) == methods.end())
        methods.push_back(method.name);
  std::string head = "<tr><th scope=\"col\">Top-1</th>", ceiling, rows;
  bool any_ceiling = false;
  for (const auto& view : views) {
    head += fmt::format("<th scope=\"col\" class=\"num\">{}<br><span class=\"note\">{} weights{}</span></th>",
                        escape_html(view.query_set), escape_html(view.weighting),
                        view.draws == "same" ? ",<br>same draws" : "");
    const Estimate e = estimate_of(view.ceiling, "top1");
    any_ceiling = any_ceiling || std::isfinite(e.value);
    ceiling += cell(e, decimals_for(view), false);
  }
  for (const auto& name : methods) {
    rows += fmt::format("<tr class=\"{}\"><th scope=\"row\">{}</th>", kind_class(data, name), breakable(name));
    for (const auto& view : views) {
      const auto* method = view.find(name);
      const auto top = std::find_if(view.methods.begin(), view.methods.end(),
                                    [&](const auto& m) { return m.name != view.reference; });
      rows += cell(method == nullptr ? Estimate{} : estimate_of(method->metrics, "top1"), decimals_for(view),
                   method == &*top);
    }
    rows += "</tr>\n";
  }
  if (any_ceiling) rows += "<tr class=\"extra\"><th scope=\"row\">ceiling</th>" + ceiling + "</tr>\n";
  const std::string note = views.size() == all.size() ? ""
                                                      : fmt::format("<p>Top-1, {}; single references are below.</p>",
                                                                    escape_html(against(views.front())));
  return note + scrolling("Top-1 of every method",
                          fmt::format("<table class=\"agreement\"><thead>{}</tr></thead><tbody>\n{}</tbody></table>",
                                      head, rows));
}

/// Only the colours that occur.
std::string kinds_legend(const ReportData& data, const Views& views) {
  std::string items;
  for (const auto& [css_class, words] :
       {std::pair{"k-guda", "unlearning"}, {"k-control", "control"}, {"k-other", "other"}}) {
    const auto shown = [&](const AgreementView& view) {
      return std::any_of(view.methods.begin(), view.methods.end(), [&](const auto& m) {
        return m.name != view.reference && kind_class(data, m.name) == css_class;
      });
    };
    if (std::any_of(views.begin(), views.end(), shown))
      items += fmt::format("<li><span class=\"swatch {}\"></span>{}</li>", css_class, words);
  }
  return items;
}

}  // namespace

std::string agreement_section(const ReportData& data, const Views& views) {
  constexpr std::string_view kHeading = "Agreement with the reference";
  if (views.empty())
    return section(
        "agreement", kHeading,
        missing(data, "comparison",
                "Nothing to compare yet: neither the reference nor a method has scores for a whole query set."));
  std::string body = fmt::format(
      "<p class=\"lede\">How often, and how closely, each method orders the groups as {} does. Intervals are {} "
      "bootstrap intervals over "
      "queries{}. Best of a column in bold; \u2248 marks a method that cannot be told from the best (p \u2265 "
      "0.05).</p>\n"
      "<ul class=\"legend\">{}<li><span class=\"swatch ceiling-swatch\"></span>ceiling: another seed of the "
      "reference</li>"
      "<li><span class=\"swatch chance-swatch\"></span>chance: a random order</li></ul>\n",
      code(data.reference), percent(data.confidence),
      data.seeds > 1 ? fmt::format(", clustered by {}", counted(data.seeds, "run seed"))
                     : "; there is one run seed, so they do not cover another training of the full model",
      kinds_legend(data, views));
  if (views.size() > 1) body += overview(data, views);
  for (std::size_t i = 0; i < views.size(); ++i) body += view_html(data, views[i], i == 0);
  return section("agreement", kHeading, body);
}

}  // namespace guda::orchestrator::report
