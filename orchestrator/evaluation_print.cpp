#include <fmt/format.h>

#include <algorithm>

#include "orchestrator/evaluation.hpp"

namespace guda::orchestrator {
namespace {

Json interval_json(const Interval& i) { return {{"value", i.value}, {"low", i.low}, {"high", i.high}}; }

std::string value_and_interval(const Interval& i) {
  return fmt::format("{:.3f} [{:.3f}, {:.3f}]", i.value, i.low, i.high);
}

Json optional_json(const std::optional<Interval>& i) { return i ? interval_json(*i) : Json(nullptr); }

}  // namespace

Json to_json(const Evaluation& evaluation) {
  Json datamodel = Json::array(), self = Json::array(), removal = nullptr;
  for (const DatamodelView& view : evaluation.datamodel) {
    Json methods = Json::object();
    for (const auto& [name, score] : view.methods) methods[name] = interval_json(score);
    datamodel.push_back({{"query_set", view.query_set},
                         {"role", view.role},
                         {"weighting", view.weighting},
                         {"queries", view.queries},
                         {"subsets", view.subsets},
                         {"methods", std::move(methods)}});
  }
  if (evaluation.removal) {
    removal = {{"query_set", evaluation.removal->query_set},
               {"items", evaluation.removal->items},
               {"attributed", evaluation.removal->attributed},
               {"methods", Json::object()}};
    for (const RemovalRow& row : evaluation.removal->rows) {
      removal["methods"][row.method] = {
          {"removed", row.removed},
          {"ssim", interval_json(row.attributed.ssim)},
          {"distance", interval_json(row.attributed.distance)},
          {"embedding", optional_json(row.attributed.embedding)},
          {"control_ssim", row.controls ? interval_json(row.controls->ssim) : Json(nullptr)},
          {"control_distance", row.controls ? interval_json(row.controls->distance) : Json(nullptr)},
          {"control_embedding", row.controls ? optional_json(row.controls->embedding) : Json(nullptr)}};
    }
  }
  for (const SelfInfluence& row : evaluation.self_influence) {
    self.push_back({{"method", row.method},
                    {"query_set", row.query_set},
                    {"queries", row.queries},
                    {"kept", row.kept},
                    {"first", row.first},
                    {"found", row.found},
                    {"median_rank", row.median_rank ? Json(*row.median_rank) : Json(nullptr)}});
  }
  return {{"schema", 1},
          {"datamodel", std::move(datamodel)},
          {"removal", std::move(removal)},
          {"self_influence", std::move(self)},
          {"missing", evaluation.missing}};
}

std::string evaluation_tables(const Evaluation& evaluation) {
  std::string out;
  for (const DatamodelView& view : evaluation.datamodel) {
    out += fmt::format("Linear datamodelling score: {}{}, {} weights, {} queries, {} subset models (chance 0)\n",
                       view.query_set, view.role == "tuning" ? " (tuning, no result)" : "", view.weighting,
                       view.queries, view.subsets);
    for (const auto& [name, score] : view.methods) out += fmt::format("  {:<20} {}\n", name, value_and_interval(score));
    out += "\n";
  }
  if (evaluation.removal) {
    const RemovalView& view = *evaluation.removal;
    out += fmt::format(
        "Removal: models retrained without the top {} training items of each of the first {} queries of {}, and the\n"
        "queries drawn again from the same noise. A good method: attributed queries change more than without random\n"
        "items, controls do not.\n  {:<20} {:>7}  {:<22} {:<22} {:<22} {:<22}",
        view.items, view.attributed, view.query_set, "without", "removed", "SSIM", "distance", "SSIM, controls",
        "distance, controls");
    const bool embedded =
        std::any_of(view.rows.begin(), view.rows.end(), [](const auto& row) { return row.attributed.embedding; });
    if (embedded) out += fmt::format(" {:<22} {}", "embedding distance", "embedding, controls");
    out += "\n";
    for (const RemovalRow& row : view.rows) {
      const auto shown = [](const std::optional<Interval>& i) { return i ? value_and_interval(*i) : std::string("-"); };
      const auto of_controls = [&](auto member) {
        return row.controls ? shown((*row.controls).*member) : std::string("-");
      };
      out += fmt::format("  {:<20} {:>7}  {:<22} {:<22} {:<22} {:<22}", row.method, row.removed,
                         value_and_interval(row.attributed.ssim), value_and_interval(row.attributed.distance),
                         of_controls(&RemovalChange::ssim), of_controls(&RemovalChange::distance));
      if (embedded)
        out += fmt::format(" {:<22} {}", shown(row.attributed.embedding), of_controls(&RemovalChange::embedding));
      out += "\n";
    }
    out += "\n";
  }
  if (!evaluation.self_influence.empty()) {
    out += fmt::format("Self-influence: training images as queries\n  {:<20} {:<14} {:>7} {:>8} {:>10} {:>12}\n",
                       "method", "queries", "rank 1", "kept", "among them", "median rank");
    for (const SelfInfluence& row : evaluation.self_influence) {
      out += fmt::format("  {:<20} {:<14} {:>6.0f}% {:>8} {:>9.0f}% {:>12}\n", row.method,
                         fmt::format("{} ({})", row.query_set, row.queries), 100 * row.first, row.kept, 100 * row.found,
                         row.median_rank ? fmt::format("{:g}", *row.median_rank) : fmt::format("> {}", row.kept));
    }
    out += "\n";
  }
  if (out.empty()) out = "The experiment plans no evaluation of its own: docs/methods.md, \"Without the oracle\".\n";
  for (const std::string& line : evaluation.missing) out += "not there (yet): " + line + "\n";
  return out;
}

}  // namespace guda::orchestrator
