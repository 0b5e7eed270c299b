#include "orchestrator/pair_agreement.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <span>

#include "common/metrics.hpp"

namespace guda::orchestrator {
namespace {

constexpr std::size_t kSums = 7;  // six of the pooled metrics, the mean absolute residual of the fit to all queries
constexpr std::size_t kColumns = kPerQueryCount + kSums;

double mean_score(const GroupScores& scores, const std::vector<std::size_t>& queries) {
  double sum = 0;
  for (const std::size_t q : queries) sum = std::accumulate(scores.row(q), scores.row(q) + scores.groups, sum);
  return sum / static_cast<double>(queries.size() * scores.groups);
}

/// The per-query metrics, then the sums of the pooled metrics. `out` is the first cell, `stride` a row's length.
void fill_columns(const Pair& pair, const std::vector<std::size_t>& queries, double floor, double* out,
                  std::size_t stride) {
  const auto [gold, predicted] = pair;
  const double gold_centre = mean_score(*gold, queries), predicted_centre = mean_score(*predicted, queries);
  metrics::PooledSums all;
  for (const std::size_t q : queries) {
    all += metrics::pooled_sums({gold->row(q), gold->groups}, {predicted->row(q), predicted->groups}, gold_centre,
                                predicted_centre);
  }
  const double slope = all.slope();
  for (std::size_t i = 0; i < queries.size(); ++i) {
    const std::span<const double> g(gold->row(queries[i]), gold->groups),
        s(predicted->row(queries[i]), predicted->groups);
    double* const row = out + i * stride;
    const metrics::PerQuery values = metrics::per_query(g, s, floor);
    std::copy(values.begin(), values.end(), row);
    const metrics::PooledSums sums = metrics::pooled_sums(g, s, gold_centre, predicted_centre);
    double* const cell = row + kPerQueryCount;
    cell[0] = sums.n, cell[1] = sums.g, cell[2] = sums.p, cell[3] = sums.gg, cell[4] = sums.pp, cell[5] = sums.gp;
    cell[6] = 0;
    for (std::size_t k = 0; k < g.size(); ++k) {
      cell[6] += std::abs(g[k] - gold_centre - slope * (s[k] - predicted_centre)) / static_cast<double>(g.size());
    }
  }
}

/// Metric m from the mean of the columns; what is made of sums does not change when all are divided by the number of
/// queries.
double metric_of(const double* means, std::size_t m) {
  if (m < kPerQueryCount) return means[m];
  const double* const s = means + kPerQueryCount;
  if (m == kPerQueryCount + 3) return s[6];
  const metrics::PooledSums sums{.n = s[0], .g = s[1], .p = s[2], .gg = s[3], .pp = s[4], .gp = s[5]};
  return m == kPerQueryCount ? sums.r() : m == kPerQueryCount + 1 ? sums.mse() : sums.slope();
}

void add_to(std::vector<std::vector<double>>& sums, const std::vector<std::vector<double>>& more) {
  for (std::size_t m = 0; m < sums.size(); ++m) {
    for (std::size_t b = 0; b < sums[m].size(); ++b) sums[m][b] += more[m][b];
  }
}

void divide(std::vector<std::vector<double>>& sums, double by) {
  for (auto& of_metric : sums) {
    for (double& value : of_metric) value /= by;
  }
}

/// Median and population standard deviation of a column; NaN never occurs in it.
std::pair<double, double> spread_of(const std::vector<double>& table, std::size_t column, std::size_t stride,
                                    double mean) {
  std::vector<double> values;
  double squares = 0;
  for (std::size_t at = column; at < table.size(); at += stride) {
    values.push_back(table[at]);
    squares += (table[at] - mean) * (table[at] - mean);
  }
  const double n = static_cast<double>(values.size());
  std::sort(values.begin(), values.end());
  const std::size_t half = values.size() / 2;
  const double median = values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
  return {median, std::sqrt(squares / n)};
}

}  // namespace

double floor_of(const GroupScores& scores, const std::vector<std::size_t>& queries) {
  double floor = std::numeric_limits<double>::infinity();
  for (const std::size_t q : queries)
    floor = std::min(floor, *std::min_element(scores.row(q), scores.row(q) + scores.groups));
  return floor;
}

std::string metric_name(std::size_t m) {
  return std::string(m < kPerQueryCount ? metrics::kPerQuery[m] : metrics::kPooledNames[m - kPerQueryCount]);
}

PairAgreements::PairAgreements(std::vector<std::size_t> queries, const std::vector<std::uint64_t>& seed_of,
                               std::uint64_t seed, std::uint32_t resamples, std::vector<std::size_t> all,
                               const std::vector<std::uint64_t>& group_of)
    : queries_(std::move(queries)),
      all_(all.empty() ? queries_ : std::move(all)),
      resampler_(seed_of, seed),
      resamples_(resamples) {
  if (!group_of.empty()) groups_.emplace(group_of, seed, Within::whole);
}

void PairAgreements::measure(const std::vector<Pair>& pairs) {
  std::vector<Pair> fresh;
  for (const Pair& pair : pairs) {
    if (!measured_.contains(pair) && std::find(fresh.begin(), fresh.end(), pair) == fresh.end()) fresh.push_back(pair);
  }
  if (fresh.empty()) return;
  const std::size_t columns = fresh.size() * kColumns;
  std::vector<double> table(queries_.size() * columns), means(columns, 0.0);
  for (std::size_t i = 0; i < fresh.size(); ++i) {
    fill_columns(fresh[i], queries_, floor_of(*fresh[i].gold, all_), table.data() + i * kColumns, columns);
  }
  for (std::size_t i = 0; i < table.size(); ++i) means[i % columns] += table[i];
  for (double& mean : means) mean /= static_cast<double>(queries_.size());
  const std::vector<double> resampled = resampled_means(resampler_, resamples_, table, columns);
  std::vector<double> by_groups;
  if (groups_) by_groups = resampled_means(*groups_, resamples_, table, columns);
  const auto values_of = [&](const std::vector<double>& all, std::size_t pair, std::size_t metric) {
    std::vector<double> values(resamples_);
    for (std::uint32_t b = 0; b < resamples_; ++b)
      values[b] = metric_of(all.data() + b * columns + pair * kColumns, metric);
    return values;
  };
  for (std::size_t i = 0; i < fresh.size(); ++i) {
    Measured& result = measured_[fresh[i]];
    for (std::size_t m = 0; m < kPerQueryCount; ++m) {
      const std::size_t column = i * kColumns + m;
      const auto [median, sd] = spread_of(table, column, columns, means[column]);
      result.median.push_back(median);
      result.sd.push_back(sd);
    }
    for (std::size_t m = 0; m < kMetricCount; ++m) {
      result.value.push_back(metric_of(means.data() + i * kColumns, m));
      result.resampled.push_back(values_of(resampled, i, m));
      if (groups_) result.by_groups.push_back(values_of(by_groups, i, m));
    }
  }
}

Measured PairAgreements::mean_of(const std::vector<Pair>& pairs) const {
  Measured mean = measured_.at(pairs.front());
  for (std::size_t p = 1; p < pairs.size(); ++p) {
    const Measured& other = measured_.at(pairs[p]);
    for (std::size_t m = 0; m < kPerQueryCount; ++m) mean.median[m] += other.median[m], mean.sd[m] += other.sd[m];
    for (std::size_t m = 0; m < kMetricCount; ++m) mean.value[m] += other.value[m];
    add_to(mean.resampled, other.resampled);
    add_to(mean.by_groups, other.by_groups);
  }
  if (pairs.size() == 1) return mean;
  const double n = static_cast<double>(pairs.size());
  for (std::size_t m = 0; m < kPerQueryCount; ++m) mean.median[m] /= n, mean.sd[m] /= n;
  for (double& value : mean.value) value /= n;
  divide(mean.resampled, n);
  divide(mean.by_groups, n);
  return mean;
}

}  // namespace guda::orchestrator
