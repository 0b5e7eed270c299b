#pragma once
// Agreement of two rankings of groups. Gold is what the oracle says, predicted what a method says; larger = more
// influence. Order is descending, ties go to the smaller group index. Pure; any thread. Every function throws Error on
// values that are not finite, on an empty table and on different sizes.
// Definitions: the CIFAR ("C") and UnlearnCanvas ("U") evaluation code of GUDA; docs/methods.md.
#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace guda::metrics {

/// Names of the metrics that are a mean over queries, in the order of PerQuery. Suffix _u: the variant of UnlearnCanvas
/// where it differs from CIFAR's. ndcg_val: gain by gold values instead of ranks, all ranks (the summary script).
/// cal_*: after a least-squares fit of each query; cal_negative is the share of queries whose fit turns the prediction
/// round.
inline constexpr std::array<std::string_view, 21> kPerQuery{
    "top1",    "top3",     "mrr",      "ndcg3_exp", "ndcg3_lin", "ndcg5_exp",    "ndcg5_lin",
    "wpra3",   "rbo",      "spearman", "kendall",   "top5",      "ndcg10_exp",   "ndcg10_lin",
    "wpra3_u", "wpra_all", "pearson",  "cal_mse",   "cal_mae",   "cal_negative", "ndcg_val"};
/// Metrics over the whole query x group table: Pearson correlation, which needs magnitudes right, and the mean squared
/// error, slope and mean absolute error of one least-squares fit to all of it.
inline constexpr std::string_view kPooled = "pooled_r";
inline constexpr std::array<std::string_view, 4> kPooledNames{kPooled, "global_mse", "global_slope", "global_mae"};
using PerQuery = std::array<double, kPerQuery.size()>;

/// Whether smaller values are better: the errors and cal_negative.
[[nodiscard]] bool lower_is_better(std::string_view metric) noexcept;
/// Whether chance() knows the metric: all but ndcg_val, the errors and the slopes, which depend on the scores' values.
[[nodiscard]] bool has_chance(std::string_view metric) noexcept;

/// Group indices, best first.
[[nodiscard]] std::vector<std::uint32_t> descending_order(std::span<const double> values);

/// All per-query metrics of one query. `gold_floor`: the smallest gold value of the table, from which ndcg_val counts;
/// default: the smallest of this query.
[[nodiscard]] PerQuery per_query(std::span<const double> gold, std::span<const double> predicted,
                                 std::optional<double> gold_floor = {});

/// |top k of both| / k; k is cut to the number of groups.
[[nodiscard]] double top_overlap(std::span<const double> gold, std::span<const double> predicted, std::size_t k);

/// exponential (C): relevance K-1..0 from the gold rank, gain 2^rel - 1. linear (U): relevance K..1, gain rel.
enum class Gain { exponential, linear };
[[nodiscard]] double ndcg(std::span<const double> gold, std::span<const double> predicted, std::size_t k, Gain gain);

/// NDCG over all ranks with gain gold - floor; tied predictions share the mean of their gains, as scikit-learn's
/// ndcg_score has it. 0 when no gold value exceeds the floor.
[[nodiscard]] double ndcg_by_value(std::span<const double> gold, std::span<const double> predicted, double floor);

/// What a tie of two predictions does to weighted pairwise rank agreement: C counts the pair as discordant, U drops it.
enum class PredictedTies { discordant, dropped };
/// Share of |g_a - g_b| on concordant pairs among pairs with a member in the gold top m and |g_a - g_b| >= eps (which
/// is also the tie width of U). 0 when no pair qualifies.
[[nodiscard]] double wpra(std::span<const double> gold, std::span<const double> predicted, std::size_t m,
                          PredictedTies ties = PredictedTies::discordant, double eps = 1e-12);

/// Rank-biased overlap cut at depth K and not renormalised: its maximum is 1 - p^K.
[[nodiscard]] double rbo(std::span<const double> gold, std::span<const double> predicted, double p = 0.9);

/// Pearson correlation of average ranks; 0 when either side is constant.
[[nodiscard]] double spearman(std::span<const double> gold, std::span<const double> predicted);
/// tau-b; 0 when either side is constant.
[[nodiscard]] double kendall(std::span<const double> gold, std::span<const double> predicted);

/// Least squares gold ~ slope * predicted + b per query, then mean squared and mean absolute residual. A negative slope
/// means that an anti-correlated prediction was turned round: report it with the error.
struct Calibrated {
  double mse = 0, mae = 0, slope = 0;
};
[[nodiscard]] Calibrated calibrated_error(std::span<const double> gold, std::span<const double> predicted);

/// Sufficient statistics of pooled_r: additive over queries, so a resample costs a few additions per query.
struct PooledSums {
  double n = 0, g = 0, p = 0, gg = 0, pp = 0, gp = 0;
  PooledSums& operator+=(const PooledSums& other);
  /// 0 when either side is constant.
  [[nodiscard]] double r() const;
  /// Of gold ~ slope * predicted + b over everything summed; 0 when the predictions are constant.
  [[nodiscard]] double slope() const;
  /// Mean squared residual of that fit.
  [[nodiscard]] double mse() const;
};
/// Sums of one query's values minus the given centres (any constants; near the mean they keep digits).
[[nodiscard]] PooledSums pooled_sums(std::span<const double> gold, std::span<const double> predicted,
                                     double gold_centre = 0, double predicted_centre = 0);

/// Expected value of a metric with has_chance() for a uniformly random ranking of `groups` groups: exact, because
/// every metric is linear in indicators of rank pairs. Throws Error on an unknown name.
[[nodiscard]] double chance(std::string_view metric, std::size_t groups);

}  // namespace guda::metrics
