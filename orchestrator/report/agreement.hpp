#pragma once
// The JSON of `guda compare` (schema 1) as values, and the metrics the report knows by name.
#include <array>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "common/json.hpp"

namespace guda::orchestrator::report {

/// NaN where the comparison has none.
struct Estimate {
  double value = std::numeric_limits<double>::quiet_NaN();
  double low = std::numeric_limits<double>::quiet_NaN(), high = std::numeric_limits<double>::quiet_NaN();
  double p_vs_best = std::numeric_limits<double>::quiet_NaN();
};
using Estimates = std::map<std::string, Estimate>;  ///< by metric

struct AgreementView {
  struct Method {
    std::string name, fidelity;
    double device_seconds = std::numeric_limits<double>::quiet_NaN();
    Estimates metrics;
  };
  std::string query_set, weighting, draws, reference;
  std::string reference_kind;  ///< "single", "each" (mean of the agreements with two), "mean" (of two); may be empty
  std::uint64_t queries = 0, groups = 0;
  Estimates chance, ceiling, repeatability;  ///< empty where not measured
  std::vector<Method> methods;               ///< descending Top-1

  [[nodiscard]] const Method* find(std::string_view method) const;
};

/// Views with independent draws first, otherwise in the order of the comparison. An empty object gives no views.
/// Throws Error naming the wrong key.
[[nodiscard]] std::vector<AgreementView> agreement_views(const Json& comparison);

/// Estimate of a metric, all NaN when there is none.
[[nodiscard]] Estimate estimate_of(const Estimates& estimates, std::string_view metric);

struct Metric {
  std::string_view key, label, meaning;
  double lowest = 0;  ///< of its axis
  bool charted = false;
};
inline constexpr std::array kMetrics{
    Metric{"top1", "Top-1", "share of queries whose top group is the reference's top group", 0, true},
    Metric{"top3", "Top-3", "overlap of the three top groups with the reference's three", 0},
    Metric{"mrr", "MRR", "mean of 1 / (rank given to the reference's top group)", 0, true},
    Metric{"ndcg3_exp", "NDCG@3",
           "quality of the three top places; gain 2^relevance \u2212 1, relevance from the reference's ranks", 0, true},
    Metric{"ndcg3_lin", "NDCG@3 lin", "the same with gain = relevance", 0},
    Metric{"ndcg5_exp", "NDCG@5", "quality of the five top places, exponential gain", 0},
    Metric{"ndcg5_lin", "NDCG@5 lin", "the same with gain = relevance", 0},
    Metric{"wpra3", "WPRA@3",
           "share of correctly ordered pairs with a member in the reference's top three, weighted by the reference's "
           "difference",
           0, true},
    Metric{"rbo", "RBO", "rank-biased overlap, p = 0.9, truncated: its maximum is 1 \u2212 0.9^groups", 0},
    Metric{"spearman", "Spearman", "rank correlation over all groups, mean over queries", 0, true},
    Metric{"kendall", "Kendall", "Kendall's tau-b over all groups, mean over queries", 0},
    Metric{"pooled_r", "Pooled r",
           "Pearson correlation over the whole query \u00d7 group table: the one that needs magnitudes right", 0, true},
};

}  // namespace guda::orchestrator::report
