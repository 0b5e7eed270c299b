#include "orchestrator/export_csv.hpp"

#include <fmt/format.h>

#include <cmath>

#include "common/error.hpp"
#include "common/files.hpp"
#include "common/metrics.hpp"
#include "orchestrator/group_scores.hpp"

namespace guda::orchestrator {
namespace {

constexpr const char* kEnd = "\r\n";

std::string csv_number(double v) { return std::isfinite(v) ? fmt::format("{}", v) : ""; }

std::string line_of(const std::vector<std::string>& fields) {
  std::string line;
  for (std::size_t i = 0; i < fields.size(); ++i) line += (i == 0 ? "" : ",") + csv_field(fields[i]);
  return line + kEnd;
}

std::string scores_text(const ResultsTable& table, const GroupScores& scores) {
  std::string text = line_of({"query", "set", "group", "score", "stderr"});
  for (std::size_t q = 0; q < scores.queries; ++q) {
    const jobs::Query& query = table.shape.queries[q];
    for (std::size_t k = 0; k < scores.groups; ++k) {
      const double score = scores.score[q * scores.groups + k];
      if (!std::isfinite(score)) continue;
      text += line_of({query.name, query.set, table.shape.groups[k], csv_number(score),
                       csv_number(scores.error[q * scores.groups + k])});
    }
  }
  return text;
}

/// Rounded as the reference does, because its metrics are recomputed from the rounded text.
std::string reference_number(double v) {
  if (v != 0 && std::abs(v) < 1e-6) return fmt::format("{:.6e}", v);
  return std::abs(v) < 1e-3 ? fmt::format("{:.6f}", v) : fmt::format("{:.4f}", v);
}

std::string sorted_text(const ResultsTable& table, const GroupScores& scores) {
  std::vector<std::string> header{"image"};
  for (std::size_t i = 1; i <= scores.groups; ++i) {
    for (const char* field : {"Cls", "Name", "Sc"}) header.push_back(fmt::format("R{}_{}", i, field));
  }
  std::string text = line_of(header);
  for (std::size_t q = 0; q < scores.queries; ++q) {
    if (!scores.evaluated(q)) continue;
    std::vector<std::string> fields{table.shape.queries[q].name};
    for (const std::uint32_t k : metrics::descending_order({scores.row(q), scores.groups})) {
      fields.push_back(std::to_string(k));
      fields.push_back(fmt::format("{}: {}", k, table.shape.groups[k]));
      fields.push_back(reference_number(scores.row(q)[k]));
    }
    text += line_of(fields);
  }
  return text;
}

std::string canvas_text(const ResultsTable& table, const GroupScores& scores) {
  std::string text = line_of({"generated_style", "object_name", "attribution_style", "score", "image_path"});
  for (std::size_t k = 0; k < scores.groups; ++k) {
    for (std::size_t q = 0; q < scores.queries; ++q) {
      const jobs::Query& query = table.shape.queries[q];
      if (!scores.evaluated(q)) continue;
      text += line_of({query.true_group, query.set, table.shape.groups[k], csv_number(scores.row(q)[k]), query.name});
    }
  }
  return text;
}

std::string comparison_text(const Comparison& comparison) {
  std::string text = line_of({"query_set", "weighting", "draws", "reference", "queries", "groups", "row", "method",
                              "metric", "value", "low", "high", "p_vs_best", "device_seconds"});
  for (const View& view : comparison.views) {
    const auto add = [&](const std::string& row, const std::string& method, const std::string& metric,
                         const Interval& i, const std::string& p, const std::string& seconds) {
      text += line_of({view.query_set, view.weighting, view.draws, view.reference, std::to_string(view.queries),
                       std::to_string(view.groups), row, method, metric, csv_number(i.value), csv_number(i.low),
                       csv_number(i.high), p, seconds});
    };
    for (const auto& [name, method] : view.methods) {
      const std::string seconds = csv_number(method.facts.device_seconds);
      for (const auto& [metric, entry] : method.metrics) {
        add("method", name, metric, entry.estimate, csv_number(entry.p_vs_best), seconds);
      }
      if (method.true_group_top1) add("method", name, "true_group_top1", *method.true_group_top1, "", seconds);
    }
    const double none = std::nan("");
    for (const auto& [metric, value] : view.chance) add("chance", "", metric, {value, none, none}, "", "");
    if (view.ceiling) {
      for (const auto& [metric, interval] : *view.ceiling) add("ceiling", "", metric, interval, "", "");
    }
    if (view.repeatability) {
      for (const auto& [metric, interval] : *view.repeatability) add("repeatability", "", metric, interval, "", "");
    }
  }
  return text;
}

}  // namespace

std::string csv_field(std::string_view text) {
  if (text.find_first_of(",\"\r\n") == std::string_view::npos) return std::string(text);
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

std::vector<std::filesystem::path> export_csv(const std::filesystem::path& directory, const ResultsTable& table,
                                              const jobs::Plan& plan, const Comparison& comparison,
                                              const CsvOptions& options) {
  std::error_code code;
  std::filesystem::create_directories(directory, code);
  if (code) throw IoError("cannot make " + directory.string() + ": " + code.message());
  std::vector<std::filesystem::path> files;
  const auto publish = [&](const std::string& name, const std::string& text) {
    replace_file(directory / name, text);
    files.push_back(directory / name);
  };
  for (const auto& method : plan.experiment.methods) {
    const GroupScores scores = main_scores(table, plan, method.name);
    publish("scores_" + method.name + ".csv", scores_text(table, scores));
    if (options.sorted_layout) publish("sorted_" + method.name + ".csv", sorted_text(table, scores));
    if (options.canvas_layout) publish("canvas_" + method.name + ".csv", canvas_text(table, scores));
  }
  publish("comparison.csv", comparison_text(comparison));
  return files;
}

}  // namespace guda::orchestrator
