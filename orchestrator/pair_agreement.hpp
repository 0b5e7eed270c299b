#pragma once
// Agreement of pairs of score tables over one list of queries, each pair measured once however many views show it.
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/bootstrap.hpp"
#include "common/metrics.hpp"
#include "orchestrator/group_scores.hpp"

namespace guda::orchestrator {

/// Who is held against what.
struct Pair {
  const GroupScores* gold;
  const GroupScores* predicted;
  auto operator<=>(const Pair&) const = default;
};

/// metrics::kPerQuery, then metrics::kPooledNames.
inline constexpr std::size_t kPerQueryCount = metrics::kPerQuery.size();
inline constexpr std::size_t kMetricCount = kPerQueryCount + metrics::kPooledNames.size();

/// Values of the metrics on the sample and on every resample.
struct Measured {
  std::vector<double> value;                   ///< [metric]
  std::vector<double> median, sd;              ///< [per-query metric] over the queries; sd of the population
  std::vector<std::vector<double>> resampled;  ///< [metric][resample]
  std::vector<std::vector<double>> by_groups;  ///< the same, of whole groups of queries; empty where there are none
};

/// The smallest score of a table's queries.
[[nodiscard]] double floor_of(const GroupScores& scores, const std::vector<std::size_t>& queries);

/// Name of metric m of Measured.
[[nodiscard]] std::string metric_name(std::size_t m);

/// Everything that is measured on one list of queries and its resamples. Score tables are known by their address and
/// must outlive this. One thread.
class PairAgreements {
 public:
  /// `seed_of` is the run seed of each query (the clusters), `seed` that of the resamples. `queries` must not be empty.
  /// `all`: the queries from whose smallest gold score ndcg_val counts, where `queries` are a part of them. `group_of`:
  /// a label for each query, to resample whole groups too; empty: none.
  PairAgreements(std::vector<std::size_t> queries, const std::vector<std::uint64_t>& seed_of, std::uint64_t seed,
                 std::uint32_t resamples, std::vector<std::size_t> all = {},
                 const std::vector<std::uint64_t>& group_of = {});

  /// Measures the pairs that are new, all of them in one pass over the resamples.
  void measure(const std::vector<Pair>& pairs);
  /// Mean over pairs that have been measured, of medians and standard deviations too. At least one.
  [[nodiscard]] Measured mean_of(const std::vector<Pair>& pairs) const;

 private:
  std::vector<std::size_t> queries_, all_;
  Resampler resampler_;
  std::optional<Resampler> groups_;
  std::uint32_t resamples_;
  std::map<Pair, Measured> measured_;
};

}  // namespace guda::orchestrator
