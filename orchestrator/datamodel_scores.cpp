#include <algorithm>
#include <cmath>

#include "common/metrics.hpp"
#include "jobs/evaluation.hpp"
#include "orchestrator/evaluation.hpp"
#include "orchestrator/group_scores.hpp"

namespace guda::orchestrator {
namespace {

/// Sum of a query's scores over some groups.
double sum_over(const double* scores, const std::vector<std::uint32_t>& groups) {
  double sum = 0;
  for (const std::uint32_t group : groups) sum += scores[group];
  return sum;
}

/// Per query the correlation over subset models; `gains` [subset][query].
std::vector<double> correlations(const GroupScores& scores, const std::vector<std::vector<double>>& gains,
                                 const std::vector<std::vector<std::uint32_t>>& removed,
                                 const std::vector<std::size_t>& queries) {
  std::vector<double> values, measured(removed.size()), predicted(removed.size());
  for (const std::size_t q : queries) {
    for (std::size_t m = 0; m < removed.size(); ++m) {
      measured[m] = gains[m][q];
      predicted[m] = sum_over(scores.row(q), removed[m]);
    }
    values.push_back(metrics::spearman(measured, predicted));
  }
  return values;
}

}  // namespace

std::vector<DatamodelView> datamodel_scores(const ResultsTable& table, const jobs::Plan& plan) {
  std::vector<DatamodelView> views;
  const jobs::Experiment& e = plan.experiment;
  const auto removed = jobs::removed_groups(e.evaluation.subsets, static_cast<std::uint32_t>(plan.groups.size()));
  if (removed.size() < 2) return views;
  for (const jobs::WeightingConfig& weighting : jobs::weightings_of(e)) {
    std::vector<std::vector<double>> gains;
    for (std::size_t m = 0; m < removed.size(); ++m)
      gains.push_back(loss_gains(table, plan, jobs::subset_rows(m), weighting, jobs::kOracleDraws));
    std::map<std::string, GroupScores> scores;
    for (const auto& method : e.methods)
      scores.emplace(method.name, group_scores(table, plan, method.name, weighting, jobs::kMethodDraws));
    for (const jobs::QuerySetConfig& set : e.queries) {
      DatamodelView view{set.name, set.role, weighting.name, 0, removed.size(), {}};
      std::vector<std::size_t> measured;
      for (std::size_t q = 0; q < table.queries(); ++q) {
        const bool all = std::all_of(gains.begin(), gains.end(), [&](const auto& g) { return std::isfinite(g[q]); });
        if (table.shape.queries[q].set == set.name && all) measured.push_back(q);
      }
      view.queries = measured.size();
      if (measured.empty()) continue;
      for (const auto& [name, of_method] : scores) {
        std::vector<std::size_t> queries;
        std::vector<std::uint64_t> seeds;
        for (const std::size_t q : measured) {
          if (!of_method.evaluated(q)) continue;
          queries.push_back(q);
          seeds.push_back(table.shape.queries[q].seed);
        }
        if (!queries.empty())
          view.methods[name] = mean_interval(correlations(of_method, gains, removed, queries), seeds, e.comparison);
      }
      views.push_back(std::move(view));
    }
  }
  return views;
}

}  // namespace guda::orchestrator
