#pragma once
// Percentile bootstrap over queries, clustered by run seed, or over whole groups of queries. One set of resamples
// serves all methods and metrics, so that differences are paired. Counter-based: resample b is the same whatever was
// computed before. Pure; any thread.
#include <cstdint>
#include <span>
#include <vector>

namespace guda {

/// A number with its percentile interval.
struct Interval {
  double value = 0, low = 0, high = 0;
};

/// What becomes of a drawn cluster: as many of its queries as it has are drawn with replacement, or it is taken whole.
/// The latter is right for queries that resemble each other within few clusters: drawing in both stages counts the
/// spread within clusters twice (Davison and Hinkley, "Bootstrap Methods and their Application", 1997, section 3.8).
enum class Within { redrawn, whole };

/// Draws queries with replacement; with more than one cluster, first clusters with replacement, as many as there are.
class Resampler {
 public:
  /// cluster_of[q] is any label (the run seed, the query's group) of query q; throws Error when there is no query.
  Resampler(std::span<const std::uint64_t> cluster_of, std::uint64_t seed, Within within = Within::redrawn);

  [[nodiscard]] std::size_t queries() const noexcept { return query_count_; }
  /// How often each query is in resample b.
  [[nodiscard]] std::vector<std::uint32_t> counts(std::uint32_t b) const;

 private:
  std::vector<std::vector<std::uint32_t>> clusters_;  ///< query indices
  std::size_t query_count_;
  std::uint64_t seed_;
  Within within_;
};

/// Means of the columns of a [query, column] table in every resample: [resample, column], row-major.
[[nodiscard]] std::vector<double> resampled_means(const Resampler& resampler, std::uint32_t resamples,
                                                  std::span<const double> table, std::size_t columns);

/// The percentile interval of `value` at a confidence like 0.95 (linear interpolation between order statistics).
[[nodiscard]] Interval percentile_interval(double value, std::vector<double> resampled, double confidence);

/// One-sided paired bootstrap p-value of "best > other": the share of resamples in which best is not above other,
/// (1 + count) / (1 + resamples). Small: best is really better. 1 for a method against itself. Larger metric = better.
[[nodiscard]] double p_not_better(std::span<const double> best, std::span<const double> other);

}  // namespace guda
