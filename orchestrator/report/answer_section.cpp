#include <fmt/format.h>

#include <cmath>

#include "common/html_escape.hpp"
#include "orchestrator/report/markup.hpp"
#include "orchestrator/report/numbers.hpp"
#include "orchestrator/report/sections.hpp"

namespace guda::orchestrator::report {
namespace {

/// Best by Top-1 among the methods of a kind; views are sorted by Top-1.
const AgreementView::Method* best_of_kind(const ReportData& data, const AgreementView& view, std::string_view kind) {
  for (const auto& method : view.methods)
    if (kind_of(data, method.name) == kind && method.name != view.reference &&
        std::isfinite(estimate_of(method.metrics, "top1").value))
      return &method;
  return nullptr;
}

/// The view that the answer quotes: independent draws, generated queries if there are any, the first weighting given.
const AgreementView* quoted_view(const Views& views) {
  for (const auto& view : views)
    if (view.draws == "independent" && view.query_set == "generated") return &view;
  return views.empty() ? nullptr : &views.front();
}

double seconds_of(const ReportData& data, const std::string& method, double otherwise) {
  for (const MethodCost& cost : data.costs) {
    if (cost.method != method) continue;
    double sum = 0;
    for (const auto& part : cost.parts) sum += part.device_seconds;
    return sum;
  }
  return otherwise;
}

std::string agreement_sentence(const ReportData& data, const AgreementView& view, const AgreementView::Method& best) {
  const Estimate top1 = estimate_of(best.metrics, "top1");
  std::string text =
      fmt::format("On {} {} queries ({} weights{}), {} names the same top group as {} for <strong>{}</strong> of them",
                  view.queries, escape_html(view.query_set), escape_html(view.weighting),
                  view.draws == "same" ? ", same draws as the reference" : "", code(best.name), code(view.reference),
                  percent(top1.value));
  if (std::isfinite(top1.low) && std::isfinite(top1.high))
    text += fmt::format(" ({} interval {} to {})", percent(data.confidence), percent(top1.low), percent(top1.high));
  std::string beside;
  const auto add = [&](const std::string& clause) { beside += (beside.empty() ? "; " : ", ") + clause; };
  const double ceiling = estimate_of(view.ceiling, "top1").value;
  if (std::isfinite(ceiling)) add(fmt::format("another seed of {} reaches {}", code(view.reference), percent(ceiling)));
  if (const auto* control = best_of_kind(data, view, "control"); control != nullptr && control != &best)
    add(fmt::format("the best control, {}, {}", code(control->name),
                    percent(estimate_of(control->metrics, "top1").value)));
  const double chance = estimate_of(view.chance, "top1").value;
  if (std::isfinite(chance)) add("chance is " + percent(chance));
  return text + beside + ".";
}

std::string cost_sentence(const ReportData& data, const AgreementView& view, const AgreementView::Method& best) {
  const auto* reference = view.find(view.reference);
  const double ours = seconds_of(data, best.name, best.device_seconds);
  const double theirs = seconds_of(data, view.reference, reference != nullptr ? reference->device_seconds : kUnknown);
  if (!(ours > 0) || !(theirs > 0)) return {};
  const bool cheaper = theirs >= ours;
  return fmt::format(" It took {} of device time where {} took {}: {} times {}.", duration(ours), code(view.reference),
                     duration(theirs), significant(cheaper ? theirs / ours : ours / theirs, 2),
                     cheaper ? "less" : "more");
}

std::string warnings(const ReportData& data) {
  if (data.warnings.empty()) return {};
  std::string items;
  for (const auto& warning : data.warnings) items += "<li>" + escape_html(warning) + "</li>";
  return fmt::format("<div class=\"warnings\" role=\"note\"><h3>To know before reading on</h3><ul>{}</ul></div>",
                     items);
}

}  // namespace

std::string answer_section(const ReportData& data, const Views& views) {
  std::string body = fmt::format(
      "<p>Asked: how much did each of {} of training data contribute to a picture of the diffusion model? "
      "The reference answer, {}, trains the model again without each group; the other methods must come to the same "
      "answer without that.</p>",
      escape_html(counted(data.groups.size(), "group")), code(data.reference));
  const AgreementView* view = quoted_view(views);
  const AgreementView::Method* best = view == nullptr ? nullptr : best_of_kind(data, *view, "guda");
  if (view != nullptr && best == nullptr)
    for (const auto& method : view->methods)
      if (method.name != view->reference && std::isfinite(estimate_of(method.metrics, "top1").value)) {
        best = &method;
        break;
      }
  if (best != nullptr)
    body += fmt::format("<p class=\"answer\">{}{}</p>", agreement_sentence(data, *view, *best),
                        cost_sentence(data, *view, *best));
  else body += missing(data, "comparison", "There is no answer yet: no method has been compared with the reference.");
  std::string described;
  for (const MethodInfo& info : data.methods)
    if (!info.description.empty())
      described += fmt::format("<dt><span class=\"swatch {}\"></span>{}</dt><dd>{}</dd>", kind_class(data, info.name),
                               code(info.name), escape_html(info.description));
  if (!described.empty()) body += "<dl class=\"methods\">" + described + "</dl>";
  return section("answer", "What was asked, and the answer", body + warnings(data));
}

}  // namespace guda::orchestrator::report
