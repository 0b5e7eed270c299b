// The two faces of a Comparison: JSON for programs, tables for people.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <span>

#include "common/metrics.hpp"
#include "orchestrator/comparison.hpp"

namespace guda::orchestrator {
namespace {

Json json_of(const Interval& i) { return {{"value", i.value}, {"low", i.low}, {"high", i.high}}; }

Json json_of(const std::optional<Interval>& i) { return i ? json_of(*i) : Json(); }

Json json_of(const std::optional<Yardstick>& yardstick, const std::optional<Yardstick>& over_groups) {
  if (!yardstick) return nullptr;
  Json json = Json::object();
  for (const auto& [metric, interval] : *yardstick) {
    json[metric] = json_of(interval);
    if (!over_groups) continue;
    const Interval& wide = over_groups->at(metric);
    json[metric]["over_groups"] = {{"low", wide.low}, {"high", wide.high}};
  }
  return json;
}

Json json_of(const std::map<std::string, MetricAgreement>& agreement) {
  Json metrics = Json::object();
  for (const auto& [name, entry] : agreement) {
    metrics[name] = json_of(entry.estimate);
    metrics[name]["p_vs_best"] = entry.p_vs_best;
    if (entry.over_groups) {
      metrics[name]["over_groups"] = {{"low", entry.over_groups->low},
                                      {"high", entry.over_groups->high},
                                      {"p_vs_best", entry.p_vs_best_over_groups}};
    }
    if (entry.median) metrics[name]["median"] = *entry.median;
    if (entry.sd) metrics[name]["sd"] = *entry.sd;
  }
  return metrics;
}

Json json_of(const MethodAgreement& method) {
  Json classes = Json::object();
  for (const auto& [name, entry] : method.by_class)
    classes[name] = {{"queries", entry.queries}, {"metrics", json_of(entry.metrics)}};
  return {{"device_seconds", method.facts.device_seconds},
          {"fidelity", method.facts.fidelity},
          {"metrics", json_of(method.metrics)},
          {"true_group_top1", json_of(method.true_group_top1)},
          {"by_class", std::move(classes)}};
}

Json json_of(const View& view) {
  Json methods = Json::object();
  for (const auto& [name, method] : view.methods) methods[name] = json_of(method);
  return {{"query_set", view.query_set},
          {"role", view.role},
          {"weighting", view.weighting},
          {"draws", view.draws},
          {"reference", view.reference},
          {"reference_kind", to_string(view.kind)},
          {"queries", view.queries},
          {"left_out", view.left_out},
          {"groups", view.groups},
          {"query_groups", view.query_groups},
          {"asked_for", view.asked_for},
          {"chance", view.chance},
          {"ceiling", json_of(view.ceiling, view.ceiling_over_groups)},
          {"repeatability", json_of(view.repeatability, view.repeatability_over_groups)},
          {"methods", std::move(methods)},
          {"missing", view.missing},
          {"reference_true_group_top1", json_of(view.reference_true_group_top1)}};
}

struct Row {
  std::string name;
  std::vector<std::string> cells;
};

struct ShownMetric {
  const char* name;
  const char* title;
};
constexpr ShownMetric kCifar[] = {
    {"mrr", "mrr"}, {"ndcg3_exp", "ndcg3"}, {"spearman", "spearman"}, {"pooled_r", "pooled r"}};
/// Those of GUDA's table of UnlearnCanvas: linear gain, and rank-biased overlap.
constexpr ShownMetric kCanvas[] = {
    {"mrr", "mrr"}, {"ndcg3_lin", "ndcg3 lin"}, {"rbo", "rbo"}, {"spearman", "spearman"}};
using Shown = std::span<const ShownMetric>;

Shown shown_of(const Comparison& comparison) { return comparison.text_to_image ? Shown(kCanvas) : Shown(kCifar); }

/// Without the leading zero: .824, -.013, 1.000.
std::string short_number(double v) {
  if (!std::isfinite(v)) return "-";
  std::string text = fmt::format("{:.3f}", v);
  if (text.starts_with("0.")) return text.substr(1);
  if (text.starts_with("-0.")) return "-" + text.substr(2);
  return text;
}

std::string with_interval(const Interval& i) {
  return short_number(i.value) + " [" + short_number(i.low) + ", " + short_number(i.high) + "]";
}

bool is_best(const View& view, const std::string& metric, double value) {
  return std::all_of(view.methods.begin(), view.methods.end(),
                     [&](const auto& m) { return !(m.second.metrics.at(metric).estimate.value > value); });
}

std::string marked(bool best, const std::string& text) { return text + (best ? "*" : " "); }

Row row_of(const View& view, const std::string& name, const MethodAgreement& method, Shown metrics) {
  const Interval& top1 = method.metrics.at("top1").estimate;
  Row row{name, {marked(is_best(view, "top1", top1.value), with_interval(top1))}};
  for (const auto& shown : metrics) {
    const double value = method.metrics.at(shown.name).estimate.value;
    row.cells.push_back(marked(is_best(view, shown.name, value), short_number(value)));
  }
  const double seconds = method.facts.device_seconds;
  row.cells.push_back(std::isfinite(seconds) ? fmt::format("{:.1f}", seconds) : "-");
  if (view.reference_true_group_top1) {
    row.cells.push_back(method.true_group_top1 ? short_number(method.true_group_top1->value) : "-");
  }
  return row;
}

Row row_of(const std::string& name, const Yardstick& yardstick, Shown metrics) {
  Row row{name, {with_interval(yardstick.at("top1")) + " "}};
  for (const auto& shown : metrics) row.cells.push_back(short_number(yardstick.at(shown.name).value) + " ");
  return row;
}

std::string against(const View& view) {
  switch (view.kind) {
    case ReferenceKind::single:
      return "against " + view.reference;
    case ReferenceKind::each:
      return "mean of the agreements with " + view.reference;
    case ReferenceKind::mean:
      return "against " + view.reference + ", no ceiling";
  }
  return view.reference;
}

std::vector<Row> rows_of(const View& view, Shown metrics) {
  std::vector<std::pair<std::string, const MethodAgreement*>> methods;
  for (const auto& [name, method] : view.methods) methods.emplace_back(name, &method);
  std::stable_sort(methods.begin(), methods.end(), [](const auto& a, const auto& b) {
    return a.second->metrics.at("top1").estimate.value > b.second->metrics.at("top1").estimate.value;
  });
  std::vector<Row> rows;
  for (const auto& [name, method] : methods) rows.push_back(row_of(view, name, *method, metrics));
  Row chance{"(chance)", {short_number(view.chance.at("top1")) + " "}};
  for (const auto& shown : metrics) chance.cells.push_back(short_number(view.chance.at(shown.name)) + " ");
  rows.push_back(std::move(chance));
  if (view.repeatability) rows.push_back(row_of("(repeatability)", *view.repeatability, metrics));
  if (view.ceiling) rows.push_back(row_of("(ceiling)", *view.ceiling, metrics));
  if (view.reference_true_group_top1) {
    Row reference{"(reference)", std::vector<std::string>(metrics.size() + 2, "")};
    reference.cells.push_back(short_number(view.reference_true_group_top1->value));
    rows.push_back(std::move(reference));
  }
  return rows;
}

std::string table_of(const View& view, const Comparison& comparison, std::size_t width) {
  std::string text = fmt::format("{} queries{}, {} weights, {} draws, {}\n{} queries x {} groups", view.query_set,
                                 view.role == "tuning" ? " (for tuning: no result)" : "", view.weighting, view.draws,
                                 against(view), view.queries, view.groups);
  if (comparison.over_groups) text += fmt::format("; intervals over {} groups of queries", view.query_groups);
  if (view.left_out > 0) text += fmt::format("; {} left out: not fully evaluated", view.left_out);
  for (std::size_t i = 0; i < view.missing.size(); ++i)
    text += (i == 0 ? "; without results: " : ", ") + view.missing[i];
  text += "\n";
  if (view.queries == 0) return text + "\n";

  const Shown metrics = shown_of(comparison);
  std::vector<std::string> titles{fmt::format("top1 [{:g} %] ", 100 * comparison.confidence)};
  for (const auto& shown : metrics) titles.push_back(std::string(shown.title) + " ");
  titles.emplace_back("seconds");
  if (view.reference_true_group_top1) titles.emplace_back(view.asked_for ? "style asked for" : "true group");
  const std::vector<Row> rows = rows_of(view, metrics);

  std::vector<std::size_t> widths;
  std::size_t name_width = 6, used = 0;
  for (const Row& row : rows) name_width = std::max(name_width, row.name.size());
  used = name_width;
  for (std::size_t c = 0; c < titles.size(); ++c) {
    std::size_t cell = titles[c].size();
    for (const Row& row : rows) cell = c < row.cells.size() ? std::max(cell, row.cells[c].size()) : cell;
    if (c > 0 && used + cell + 2 > width) break;
    used += cell + 2;
    widths.push_back(cell);
  }
  const auto line = [&](const std::string& name, const std::vector<std::string>& cells) {
    std::string out = fmt::format("{:<{}}", name, name_width);
    for (std::size_t c = 0; c < std::min(widths.size(), cells.size()); ++c) {
      out += fmt::format("  {:>{}}", cells[c], widths[c]);
    }
    out.erase(out.find_last_not_of(' ') + 1);
    return out + "\n";
  };
  text += line("method", titles) + std::string(used, '-') + "\n";
  for (const Row& row : rows) text += line(row.name, row.cells);
  return text + "\n";
}

/// One line for each class and method; methods in the order of the whole view.
std::string class_table_of(const View& view, double confidence, Shown metrics) {
  std::vector<std::pair<std::string, const MethodAgreement*>> methods;
  for (const auto& [name, method] : view.methods) methods.emplace_back(name, &method);
  std::stable_sort(methods.begin(), methods.end(), [](const auto& a, const auto& b) {
    return a.second->metrics.at("top1").estimate.value > b.second->metrics.at("top1").estimate.value;
  });
  std::size_t class_width = 5, name_width = 6;
  for (const auto& [name, method] : methods) {
    name_width = std::max(name_width, name.size());
    for (const auto& [label, entry] : method->by_class) class_width = std::max(class_width, label.size());
  }
  std::string text = fmt::format("{:<{}}  {:>7}  {:<{}}  {:>20}", "class", class_width, "queries", "method", name_width,
                                 fmt::format("top1 [{:g} %]", 100 * confidence));
  for (const auto& shown : metrics) text += fmt::format("  {:>20}", shown.title);
  text += "  slope < 0\n";
  if (methods.empty()) return text;
  for (const auto& [label, first] : methods.front().second->by_class) {
    for (const auto& [name, method] : methods) {
      const ClassAgreement& entry = method->by_class.at(label);
      text += fmt::format("{:<{}}  {:>7}  {:<{}}", label, class_width, entry.queries, name, name_width);
      text += fmt::format("  {:>20}", with_interval(entry.metrics.at("top1").estimate));
      for (const auto& shown : metrics)
        text += fmt::format("  {:>20}", with_interval(entry.metrics.at(shown.name).estimate));
      text += fmt::format("  {:>9}\n", short_number(entry.metrics.at("cal_negative").estimate.value));
    }
  }
  return text;
}

/// "title a, b, c." in lines of at most `width`, where the names allow it.
std::string wrapped(const std::string& title, const std::set<std::string>& names, std::size_t width) {
  std::string text, line = title;
  for (auto name = names.begin(); name != names.end(); ++name) {
    const std::string word = *name + (std::next(name) == names.end() ? "." : ",");
    if (line.size() + 1 + word.size() > width) {
      text += line + "\n";
      line = " ";
    }
    line += " " + word;
  }
  return text + line + "\n";
}

}  // namespace

std::string class_table(const Comparison& comparison) {
  std::string text;
  for (const View& view : comparison.views) {
    text += fmt::format("{} queries{}, {} weights, {} draws, {}\n{}\n", view.query_set,
                        view.role == "tuning" ? " (for tuning: no result)" : "", view.weighting, view.draws,
                        against(view), class_table_of(view, comparison.confidence, shown_of(comparison)));
  }
  return text +
         "class: the true group of a query, else the group that the reference puts first. slope < 0: share of queries "
         "whose\n  least-squares fit turns the prediction round. Intervals resample the queries of the class.\n";
}

Json to_json(const Comparison& comparison) {
  Json views = Json::array();
  for (const View& view : comparison.views) views.push_back(json_of(view));
  Json json{{"schema", 1},
            {"bootstrap", comparison.resamples},
            {"confidence", comparison.confidence},
            {"views", std::move(views)}};
  if (!comparison.race.until.empty()) json["race"] = to_json(comparison.race);
  return json;
}

std::string comparison_table(const Comparison& comparison, std::size_t width) {
  if (comparison.views.empty() && comparison.over_groups)
    return "No query set has groups to resample: a query's group is its class, the style it asks for, or its prompt.\n";
  if (comparison.views.empty()) {
    return "Nothing to compare yet: no query is evaluated for the reference method (guda status shows what runs).\n";
  }
  std::string text;
  std::set<std::string> ours;
  for (const View& view : comparison.views) {
    text += table_of(view, comparison, width);
    for (const auto& [name, method] : view.methods) {
      if (method.facts.fidelity == "our reconstruction") ours.insert(name);
    }
  }
  if (!comparison.race.until.empty()) text += race_text(comparison.race) + "\n";
  text +=
      "* best value of the column. (chance): random ranking; (repeatability): the reference re-scored with other "
      "noise;\n  (ceiling): another retraining of the reference. Intervals: bootstrap over " +
      std::string(comparison.over_groups ? "whole groups of queries.\n" : "queries; --over-groups: over groups.\n");
  return ours.empty() ? text : text + wrapped("Our reconstructions, not the papers' own:", ours, width);
}

}  // namespace guda::orchestrator
