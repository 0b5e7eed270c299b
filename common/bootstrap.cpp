#include "common/bootstrap.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <string>

#include "common/digest.hpp"
#include "common/error.hpp"

namespace guda {
namespace {

/// SplitMix64 as a counter-based generator: Steele, Lea, Flood, "Fast splittable pseudorandom number generators"
/// (2014).
class Counter {
 public:
  explicit Counter(std::uint64_t key) : state_(key) {}
  /// Uniform in [0, n); the bias of the multiply-shift is below n / 2^64.
  std::uint32_t below(std::uint64_t n) {
    state_ += 0x9e3779b97f4a7c15ULL;
    std::uint64_t x = state_;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
    x ^= x >> 31;
    __extension__ using Wide = unsigned __int128;
    return static_cast<std::uint32_t>((static_cast<Wide>(x) * n) >> 64);
  }

 private:
  std::uint64_t state_;
};

double quantile(const std::vector<double>& sorted, double q) {
  const double position = q * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(std::floor(position));
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (position - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

}  // namespace

Resampler::Resampler(std::span<const std::uint64_t> cluster_of, std::uint64_t seed)
    : query_count_(cluster_of.size()), seed_(seed) {
  if (cluster_of.empty()) throw Error("a bootstrap needs at least one query");
  std::map<std::uint64_t, std::vector<std::uint32_t>> by_label;
  for (std::uint32_t q = 0; q < cluster_of.size(); ++q) by_label[cluster_of[q]].push_back(q);
  for (auto& [label, members] : by_label) clusters_.push_back(std::move(members));
}

std::vector<std::uint32_t> Resampler::counts(std::uint32_t b) const {
  Counter random((SeedPath(seed_) / "bootstrap" / std::to_string(b)).value());
  std::vector<std::uint32_t> counts(query_count_, 0);
  for (std::size_t i = 0; i < clusters_.size(); ++i) {
    const auto& members = clusters_[clusters_.size() == 1 ? 0 : random.below(clusters_.size())];
    for (std::size_t j = 0; j < members.size(); ++j) ++counts[members[random.below(members.size())]];
  }
  return counts;
}

std::vector<double> resampled_means(const Resampler& resampler, std::uint32_t resamples, std::span<const double> table,
                                    std::size_t columns) {
  if (table.size() != resampler.queries() * columns) throw Bug("resampled_means: the table has not one row per query");
  std::vector<double> means(std::size_t{resamples} * columns, 0.0);
  constexpr std::uint32_t kTile = 8;  // resamples that share one pass over the table: their sums stay in the cache
  for (std::uint32_t first = 0; first < resamples; first += kTile) {
    const std::uint32_t tile = std::min(kTile, resamples - first);
    std::vector<std::vector<std::uint32_t>> counts;
    for (std::uint32_t b = 0; b < tile; ++b) counts.push_back(resampler.counts(first + b));
    for (std::size_t q = 0; q < resampler.queries(); ++q) {
      const double* const row = table.data() + q * columns;
      for (std::uint32_t b = 0; b < tile; ++b) {
        if (counts[b][q] == 0) continue;
        const double count = counts[b][q];
        double* const sums = means.data() + std::size_t{first + b} * columns;
        for (std::size_t c = 0; c < columns; ++c) sums[c] += count * row[c];
      }
    }
    for (std::uint32_t b = 0; b < tile; ++b) {
      const double drawn = std::accumulate(counts[b].begin(), counts[b].end(), 0.0);
      double* const sums = means.data() + std::size_t{first + b} * columns;
      for (std::size_t c = 0; c < columns; ++c) sums[c] /= drawn;
    }
  }
  return means;
}

Interval percentile_interval(double value, std::vector<double> resampled, double confidence) {
  if (!(confidence > 0 && confidence < 1)) {
    throw Error("confidence is " + std::to_string(confidence) + "; give a number between 0 and 1, such as 0.95");
  }
  if (resampled.empty()) return {value, std::nan(""), std::nan("")};
  std::sort(resampled.begin(), resampled.end());
  return {value, quantile(resampled, (1 - confidence) / 2), quantile(resampled, (1 + confidence) / 2)};
}

double p_not_better(std::span<const double> best, std::span<const double> other) {
  if (best.size() != other.size()) throw Bug("p_not_better: paired resamples differ in number");
  std::size_t count = 0;
  for (std::size_t b = 0; b < best.size(); ++b) count += best[b] <= other[b];
  return static_cast<double>(1 + count) / static_cast<double>(1 + best.size());
}

}  // namespace guda
