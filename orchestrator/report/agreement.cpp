#include "orchestrator/report/agreement.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "common/error.hpp"

namespace guda::orchestrator::report {
namespace {

[[noreturn]] void refuse(const std::string& key, const std::string& what) {
  throw Error(
      fmt::format("comparison: {}: {} (the report reads schema 1 of `guda compare --json`; repeat that command "
                  "with this version of guda)",
                  key, what));
}

double number_or_nan(const Json& object, const char* key, const std::string& path) {
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return std::numeric_limits<double>::quiet_NaN();
  if (!found->is_number()) refuse(path + "." + key, "is not a number");
  return found->get<double>();
}

std::string text_or_empty(const Json& object, const char* key, const std::string& path) {
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return {};
  if (!found->is_string()) refuse(path + "." + key, "is not text");
  return found->get<std::string>();
}

/// A bare number stands for an estimate without an interval.
Estimates estimates_of(const Json& parent, const char* key, const std::string& parent_path) {
  Estimates estimates;
  const auto found = parent.find(key);
  if (found == parent.end() || found->is_null()) return estimates;
  const std::string path = parent_path + "." + key;
  if (!found->is_object()) refuse(path, "is not an object");
  for (const auto& [metric, value] : found->items()) {
    if (value.is_null()) continue;
    Estimate& e = estimates[metric];
    if (value.is_number()) {
      e.value = value.get<double>();
    } else if (value.is_object()) {
      const std::string here = path + "." + metric;
      e = {number_or_nan(value, "value", here), number_or_nan(value, "low", here), number_or_nan(value, "high", here),
           number_or_nan(value, "p_vs_best", here)};
    } else {
      refuse(path + "." + metric, "is neither a number nor an object");
    }
  }
  return estimates;
}

std::uint64_t count_of(const Json& view, const char* key, const std::string& path) {
  const auto found = view.find(key);
  if (found == view.end() || found->is_null()) return 0;
  if (found->is_array()) return found->size();
  if (!found->is_number_integer() || found->get<std::int64_t>() < 0) refuse(path + "." + key, "is not a count");
  return found->get<std::uint64_t>();
}

AgreementView view_from(const Json& json, const std::string& path) {
  if (!json.is_object()) refuse(path, "is not an object");
  AgreementView view;
  view.query_set = text_or_empty(json, "query_set", path);
  view.weighting = text_or_empty(json, "weighting", path);
  view.draws = text_or_empty(json, "draws", path);
  if (view.draws != "independent" && view.draws != "same") refuse(path + ".draws", "is neither independent nor same");
  view.reference = text_or_empty(json, "reference", path);
  view.reference_kind = text_or_empty(json, "reference_kind", path);
  view.queries = count_of(json, "queries", path);
  view.groups = count_of(json, "groups", path);
  view.chance = estimates_of(json, "chance", path);
  view.ceiling = estimates_of(json, "ceiling", path);
  view.repeatability = estimates_of(json, "repeatability", path);
  const auto methods = json.find("methods");
  if (methods == json.end() || !methods->is_object()) refuse(path + ".methods", "is not an object");
  for (const auto& [name, m] : methods->items()) {
    const std::string here = path + ".methods." + name;
    if (!m.is_object()) refuse(here, "is not an object");
    view.methods.push_back({name, text_or_empty(m, "fidelity", here), number_or_nan(m, "device_seconds", here),
                            estimates_of(m, "metrics", here)});
  }
  const auto top1 = [](const AgreementView::Method& m) {
    const double value = estimate_of(m.metrics, "top1").value;
    return std::isfinite(value) ? value : -1.0;
  };
  std::stable_sort(view.methods.begin(), view.methods.end(),
                   [&](const auto& a, const auto& b) { return top1(a) > top1(b); });
  return view;
}

}  // namespace

const AgreementView::Method* AgreementView::find(std::string_view method) const {
  for (const Method& m : methods)
    if (m.name == method) return &m;
  return nullptr;
}

std::vector<AgreementView> agreement_views(const Json& comparison) {
  std::vector<AgreementView> views;
  if (comparison.is_null() || (comparison.is_object() && comparison.empty())) return views;
  if (!comparison.is_object() || !comparison.contains("schema") || comparison.at("schema") != 1)
    refuse("schema", "is not 1");
  const auto list = comparison.find("views");
  if (list == comparison.end() || !list->is_array()) refuse("views", "is not a list");
  for (std::size_t i = 0; i < list->size(); ++i) views.push_back(view_from((*list)[i], fmt::format("views[{}]", i)));
  std::stable_partition(views.begin(), views.end(), [](const AgreementView& v) { return v.draws == "independent"; });
  return views;
}

Estimate estimate_of(const Estimates& estimates, std::string_view metric) {
  const auto found = estimates.find(std::string(metric));
  return found == estimates.end() ? Estimate{} : found->second;
}

}  // namespace guda::orchestrator::report
