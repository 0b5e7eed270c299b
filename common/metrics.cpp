#include "common/metrics.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

#include "common/error.hpp"

namespace guda::metrics {
namespace {

using Values = std::span<const double>;
using Order = std::vector<std::uint32_t>;

void require_pair(Values gold, Values predicted) {
  if (gold.empty() || gold.size() != predicted.size()) {
    throw Error("agreement needs two equally long, non-empty score vectors; got " + std::to_string(gold.size()) +
                " and " + std::to_string(predicted.size()));
  }
  const auto finite = [](double v) { return std::isfinite(v); };
  if (!std::all_of(gold.begin(), gold.end(), finite) || !std::all_of(predicted.begin(), predicted.end(), finite)) {
    throw Error("a score is NaN or infinite; leave out queries that are not fully evaluated");
  }
}

Order order_of(Values values) {
  Order order(values.size());
  std::iota(order.begin(), order.end(), 0U);
  std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return values[a] > values[b]; });
  return order;
}

Order ranks_of(const Order& order) {
  Order ranks(order.size());
  for (std::uint32_t i = 0; i < order.size(); ++i) ranks[order[i]] = i;
  return ranks;
}

std::size_t overlap(const Order& gold_ranks, const Order& predicted_order, std::size_t k) {
  return static_cast<std::size_t>(std::count_if(predicted_order.begin(),
                                                predicted_order.begin() + static_cast<std::ptrdiff_t>(k),
                                                [&](auto group) { return gold_ranks[group] < k; }));
}

double top_overlap_of(const Order& gold_ranks, const Order& predicted_order, std::size_t k) {
  k = std::clamp<std::size_t>(k, 1, gold_ranks.size());
  return static_cast<double>(overlap(gold_ranks, predicted_order, k)) / static_cast<double>(k);
}

double discount(std::size_t rank) { return 1.0 / std::log2(static_cast<double>(rank) + 2.0); }

double gain_at(std::size_t gold_rank, std::size_t groups, Gain gain) {
  const double relevance = static_cast<double>(groups - 1 - gold_rank), best = static_cast<double>(groups - 1);
  // 2^rel - 1 divided by 2^best, which cancels in the ratio: thousands of groups do not overflow.
  return gain == Gain::exponential ? std::exp2(relevance - best) - std::exp2(-best) : relevance + 1.0;
}

double ideal_dcg(std::size_t groups, std::size_t k, Gain gain) {
  double sum = 0;
  for (std::size_t i = 0; i < k; ++i) sum += gain_at(i, groups, gain) * discount(i);
  return sum;
}

double ndcg_of(const Order& gold_ranks, const Order& predicted_order, std::size_t k, Gain gain) {
  const std::size_t groups = gold_ranks.size();
  k = std::clamp<std::size_t>(k, 1, groups);
  const double ideal = ideal_dcg(groups, k, gain);
  if (ideal == 0) return 1;  // a single group: nothing can be wrong
  double sum = 0;
  for (std::size_t i = 0; i < k; ++i) sum += gain_at(gold_ranks[predicted_order[i]], groups, gain) * discount(i);
  return sum / ideal;
}

double ndcg_by_value_of(Values gold, Values predicted, const Order& gold_order, const Order& predicted_order,
                        double floor) {
  double ideal = 0, sum = 0;
  for (std::size_t i = 0; i < gold_order.size(); ++i) ideal += (gold[gold_order[i]] - floor) * discount(i);
  for (std::size_t i = 0; i < predicted_order.size();) {
    double gains = 0, discounts = 0;
    std::size_t end = i;
    for (; end < predicted_order.size() && predicted[predicted_order[end]] == predicted[predicted_order[i]]; ++end) {
      gains += gold[predicted_order[end]] - floor;
      discounts += discount(end);
    }
    sum += gains / static_cast<double>(end - i) * discounts;
    i = end;
  }
  return ideal > 0 ? sum / ideal : 0;
}

double wpra_of(const Order& gold_ranks, Values gold, Values predicted, std::size_t m, PredictedTies ties, double eps) {
  double concordant = 0, all = 0;
  for (std::size_t a = 0; a < gold.size(); ++a) {
    for (std::size_t b = a + 1; b < gold.size(); ++b) {
      if (gold_ranks[a] >= m && gold_ranks[b] >= m) continue;
      const double gap = gold[a] - gold[b];
      if (std::abs(gap) < eps) continue;
      const double predicted_gap = predicted[a] - predicted[b];
      if (ties == PredictedTies::dropped && std::abs(predicted_gap) < eps) continue;
      all += std::abs(gap);
      if ((gap > 0 && predicted_gap > 0) || (gap < 0 && predicted_gap < 0)) concordant += std::abs(gap);
    }
  }
  return all > 0 ? concordant / all : 0;
}

double rbo_of(const Order& gold_order, const Order& predicted_order, double p) {
  std::vector<std::uint8_t> seen(gold_order.size(), 0);
  std::size_t common = 0;
  double sum = 0, weight = 1.0 - p;
  for (std::size_t d = 0; d < gold_order.size(); ++d) {
    common += ++seen[gold_order[d]] == 2;
    common += ++seen[predicted_order[d]] == 2;
    sum += weight * static_cast<double>(common) / static_cast<double>(d + 1);
    weight *= p;
  }
  return sum;
}

/// Ranks from 1; equal values share the mean of their ranks.
std::vector<double> average_ranks(Values values, const Order& order) {
  std::vector<double> ranks(values.size());
  for (std::size_t i = 0; i < order.size();) {
    std::size_t end = i + 1;
    while (end < order.size() && values[order[end]] == values[order[i]]) ++end;
    for (std::size_t j = i; j < end; ++j) ranks[order[j]] = static_cast<double>(i + end + 1) / 2.0;
    i = end;
  }
  return ranks;
}

double pearson(Values a, Values b) {
  const double n = static_cast<double>(a.size());
  return pooled_sums(a, b, std::accumulate(a.begin(), a.end(), 0.0) / n, std::accumulate(b.begin(), b.end(), 0.0) / n)
      .r();
}

double spearman_of(Values gold, Values predicted, const Order& gold_order, const Order& predicted_order) {
  return pearson(average_ranks(gold, gold_order), average_ranks(predicted, predicted_order));
}

double kendall_of(Values gold, Values predicted) {
  double balance = 0, gold_pairs = 0, predicted_pairs = 0;
  const auto sign = [](double v) { return (v > 0) - (v < 0); };
  for (std::size_t a = 0; a < gold.size(); ++a) {
    for (std::size_t b = a + 1; b < gold.size(); ++b) {
      const int g = sign(gold[a] - gold[b]), p = sign(predicted[a] - predicted[b]);
      balance += g * p;
      gold_pairs += g != 0;
      predicted_pairs += p != 0;
    }
  }
  return gold_pairs > 0 && predicted_pairs > 0 ? balance / std::sqrt(gold_pairs * predicted_pairs) : 0;
}

/// E[DCG] = mean gain * sum of discounts, because a random group stands at every rank.
double chance_ndcg(std::size_t groups, std::size_t k, Gain gain) {
  k = std::min(k, groups);
  const double ideal = ideal_dcg(groups, k, gain);
  if (ideal == 0) return 1;
  double gains = 0, discounts = 0;
  for (std::size_t i = 0; i < groups; ++i) gains += gain_at(i, groups, gain);
  for (std::size_t i = 0; i < k; ++i) discounts += discount(i);
  return gains / static_cast<double>(groups) * discounts / ideal;
}

}  // namespace

std::vector<std::uint32_t> descending_order(std::span<const double> values) {
  require_pair(values, values);
  return order_of(values);
}

PerQuery per_query(std::span<const double> gold, std::span<const double> predicted, std::optional<double> gold_floor) {
  require_pair(gold, predicted);
  const Order gold_order = order_of(gold), predicted_order = order_of(predicted);
  const Order gold_ranks = ranks_of(gold_order), predicted_ranks = ranks_of(predicted_order);
  const Calibrated fit = calibrated_error(gold, predicted);
  return {static_cast<double>(gold_order[0] == predicted_order[0]),
          top_overlap_of(gold_ranks, predicted_order, 3),
          1.0 / (predicted_ranks[gold_order[0]] + 1.0),
          ndcg_of(gold_ranks, predicted_order, 3, Gain::exponential),
          ndcg_of(gold_ranks, predicted_order, 3, Gain::linear),
          ndcg_of(gold_ranks, predicted_order, 5, Gain::exponential),
          ndcg_of(gold_ranks, predicted_order, 5, Gain::linear),
          wpra_of(gold_ranks, gold, predicted, 3, PredictedTies::discordant, 1e-12),
          rbo_of(gold_order, predicted_order, 0.9),
          spearman_of(gold, predicted, gold_order, predicted_order),
          kendall_of(gold, predicted),
          top_overlap_of(gold_ranks, predicted_order, 5),
          ndcg_of(gold_ranks, predicted_order, 10, Gain::exponential),
          ndcg_of(gold_ranks, predicted_order, 10, Gain::linear),
          wpra_of(gold_ranks, gold, predicted, 3, PredictedTies::dropped, 1e-6),
          wpra_of(gold_ranks, gold, predicted, gold.size(), PredictedTies::discordant, 1e-12),
          pearson(gold, predicted),
          fit.mse,
          fit.mae,
          fit.slope < 0 ? 1.0 : 0.0,
          ndcg_by_value_of(gold, predicted, gold_order, predicted_order, gold_floor.value_or(gold[gold_order.back()]))};
}

bool lower_is_better(std::string_view metric) noexcept {
  return metric.starts_with("cal_") || metric == "global_mse" || metric == "global_mae";
}

bool has_chance(std::string_view metric) noexcept {
  return metric != "ndcg_val" && !metric.starts_with("cal_") && !metric.starts_with("global_");
}

double top_overlap(std::span<const double> gold, std::span<const double> predicted, std::size_t k) {
  require_pair(gold, predicted);
  return top_overlap_of(ranks_of(order_of(gold)), order_of(predicted), k);
}

double ndcg(std::span<const double> gold, std::span<const double> predicted, std::size_t k, Gain gain) {
  require_pair(gold, predicted);
  return ndcg_of(ranks_of(order_of(gold)), order_of(predicted), k, gain);
}

double ndcg_by_value(std::span<const double> gold, std::span<const double> predicted, double floor) {
  require_pair(gold, predicted);
  return ndcg_by_value_of(gold, predicted, order_of(gold), order_of(predicted), floor);
}

double wpra(std::span<const double> gold, std::span<const double> predicted, std::size_t m, PredictedTies ties,
            double eps) {
  require_pair(gold, predicted);
  return wpra_of(ranks_of(order_of(gold)), gold, predicted, m, ties, eps);
}

double rbo(std::span<const double> gold, std::span<const double> predicted, double p) {
  require_pair(gold, predicted);
  return rbo_of(order_of(gold), order_of(predicted), p);
}

double spearman(std::span<const double> gold, std::span<const double> predicted) {
  require_pair(gold, predicted);
  return spearman_of(gold, predicted, order_of(gold), order_of(predicted));
}

double kendall(std::span<const double> gold, std::span<const double> predicted) {
  require_pair(gold, predicted);
  return kendall_of(gold, predicted);
}

Calibrated calibrated_error(std::span<const double> gold, std::span<const double> predicted) {
  require_pair(gold, predicted);
  const double n = static_cast<double>(gold.size());
  const double gold_mean = std::accumulate(gold.begin(), gold.end(), 0.0) / n;
  const double predicted_mean = std::accumulate(predicted.begin(), predicted.end(), 0.0) / n;
  const PooledSums sums = pooled_sums(gold, predicted, gold_mean, predicted_mean);
  Calibrated result;
  if (sums.pp / n >= 1e-12) result.slope = sums.gp / sums.pp;
  for (std::size_t k = 0; k < gold.size(); ++k) {
    const double residual = gold[k] - gold_mean - result.slope * (predicted[k] - predicted_mean);
    result.mse += residual * residual / n;
    result.mae += std::abs(residual) / n;
  }
  return result;
}

PooledSums& PooledSums::operator+=(const PooledSums& other) {
  n += other.n;
  g += other.g;
  p += other.p;
  gg += other.gg;
  pp += other.pp;
  gp += other.gp;
  return *this;
}

double PooledSums::r() const {
  if (n <= 0) return 0;
  const double gold = gg - g * g / n, predicted = pp - p * p / n;
  // Rounding leaves about 1e-16 of the raw square of a constant column.
  if (gold <= 1e-14 * gg || predicted <= 1e-14 * pp) return 0;
  return std::clamp((gp - g * p / n) / std::sqrt(gold * predicted), -1.0, 1.0);
}

double PooledSums::slope() const {
  const double predicted = n > 0 ? pp - p * p / n : 0;
  return predicted <= 1e-14 * pp ? 0 : (gp - g * p / n) / predicted;
}

double PooledSums::mse() const {
  if (n <= 0) return 0;
  return std::max(0.0, (gg - g * g / n) - slope() * (gp - g * p / n)) / n;
}

PooledSums pooled_sums(std::span<const double> gold, std::span<const double> predicted, double gold_centre,
                       double predicted_centre) {
  require_pair(gold, predicted);
  PooledSums sums;
  sums.n = static_cast<double>(gold.size());
  for (std::size_t k = 0; k < gold.size(); ++k) {
    const double a = gold[k] - gold_centre, b = predicted[k] - predicted_centre;
    sums.g += a;
    sums.p += b;
    sums.gg += a * a;
    sums.pp += b * b;
    sums.gp += a * b;
  }
  return sums;
}

double chance(std::string_view metric, std::size_t groups) {
  if (groups == 0) throw Error("chance of " + std::string(metric) + " needs at least one group");
  const double n = static_cast<double>(groups);
  if (metric == "top1") return 1 / n;
  if (metric == "top3") return std::min(3.0, n) / n;
  if (metric == "top5") return std::min(5.0, n) / n;
  if (metric == "mrr") {
    double harmonic = 0;
    for (std::size_t i = 1; i <= groups; ++i) harmonic += 1.0 / static_cast<double>(i);
    return harmonic / n;
  }
  if (metric == "ndcg3_exp") return chance_ndcg(groups, 3, Gain::exponential);
  if (metric == "ndcg3_lin") return chance_ndcg(groups, 3, Gain::linear);
  if (metric == "ndcg5_exp") return chance_ndcg(groups, 5, Gain::exponential);
  if (metric == "ndcg5_lin") return chance_ndcg(groups, 5, Gain::linear);
  if (metric == "ndcg10_exp") return chance_ndcg(groups, 10, Gain::exponential);
  if (metric == "ndcg10_lin") return chance_ndcg(groups, 10, Gain::linear);
  if (metric == "wpra3" || metric == "wpra3_u" || metric == "wpra_all")
    return groups > 1 ? 0.5 : 0.0;  // every pair is concordant half of the time
  if (metric == "rbo") {
    double sum = 0, weight = 0.1;
    for (std::size_t d = 1; d <= groups; ++d, weight *= 0.9) sum += weight * static_cast<double>(d) / n;
    return sum;
  }
  if (metric == "spearman" || metric == "kendall" || metric == "pearson" || metric == kPooled) return 0;
  throw Error("no chance level of the metric '" + std::string(metric) + "'");
}

}  // namespace guda::metrics
