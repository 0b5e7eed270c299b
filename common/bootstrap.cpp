#include "common/bootstrap.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
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

/// Columns that are summed together, in four registers of two doubles: what every x86-64 has, and 64-bit ARM.
constexpr std::size_t kPanel = 8;
using Two = double __attribute__((vector_size(16)));

Two load(const double* from) {
  Two two;
  std::memcpy(&two, from, sizeof two);
  return two;
}

/// [query, column] -> [column / kPanel, query, kPanel], padded with zeros.
std::vector<double> in_panels(std::span<const double> table, std::size_t queries, std::size_t columns) {
  std::vector<double> packed((columns + kPanel - 1) / kPanel * kPanel * queries, 0.0);
  for (std::size_t q = 0; q < queries; ++q) {
    for (std::size_t c = 0; c < columns; ++c) {
      packed[c / kPanel * kPanel * queries + q * kPanel + c % kPanel] = table[q * columns + c];
    }
  }
  return packed;
}

/// Weighted sums of a panel's rows for two resamples: counts [2, query] -> sums [2, kPanel]. Each sum is in the order
/// of the queries, so that it does not depend on which resamples or columns share the pass.
void sum_two(const double* panel, std::size_t queries, const double* counts, double* sums) {
  Two a0{}, a1{}, a2{}, a3{}, b0{}, b1{}, b2{}, b3{};  // named one by one: an array would live in memory
  for (std::size_t q = 0; q < queries; ++q) {
    const double* const row = panel + q * kPanel;
    const Two r0 = load(row), r1 = load(row + 2), r2 = load(row + 4), r3 = load(row + 6);
    const double in_a = counts[q], in_b = counts[queries + q];
    a0 += r0 * in_a, a1 += r1 * in_a, a2 += r2 * in_a, a3 += r3 * in_a;
    b0 += r0 * in_b, b1 += r1 * in_b, b2 += r2 * in_b, b3 += r3 * in_b;
  }
  const Two all[] = {a0, a1, a2, a3, b0, b1, b2, b3};
  std::memcpy(sums, all, sizeof all);
}

/// Reorders `values`.
double quantile(std::vector<double>& values, double q) {
  const double position = q * static_cast<double>(values.size() - 1);
  const auto at = values.begin() + static_cast<std::ptrdiff_t>(std::floor(position));
  std::nth_element(values.begin(), at, values.end());
  const double below = *at, above = at + 1 == values.end() ? below : *std::min_element(at + 1, values.end());
  return below + (position - std::floor(position)) * (above - below);
}

}  // namespace

Resampler::Resampler(std::span<const std::uint64_t> cluster_of, std::uint64_t seed, Within within)
    : query_count_(cluster_of.size()), seed_(seed), within_(within) {
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
    const bool whole = within_ == Within::whole;
    for (std::size_t j = 0; j < members.size(); ++j) ++counts[members[whole ? j : random.below(members.size())]];
  }
  return counts;
}

std::vector<double> resampled_means(const Resampler& resampler, std::uint32_t resamples, std::span<const double> table,
                                    std::size_t columns) {
  const std::size_t queries = resampler.queries();
  if (table.size() != queries * columns) throw Bug("resampled_means: the table has not one row per query");
  const std::vector<double> packed = in_panels(table, queries, columns);
  std::vector<double> means(std::size_t{resamples} * columns);
  constexpr std::uint32_t kTile = 32;  // resamples that pass over a panel while it is in the cache
  std::vector<double> counts(kTile * queries), drawn(kTile), sums(kTile * kPanel);
  for (std::uint32_t first = 0; first < resamples; first += kTile) {
    const std::uint32_t tile = std::min(kTile, resamples - first);
    for (std::uint32_t b = 0; b < tile; ++b) {
      const std::vector<std::uint32_t> times = resampler.counts(first + b);
      std::copy(times.begin(), times.end(), counts.begin() + static_cast<std::ptrdiff_t>(b * queries));
      drawn[b] = std::accumulate(times.begin(), times.end(), 0.0);
    }
    for (std::size_t column = 0; column < columns; column += kPanel) {
      const double* const panel = packed.data() + column * queries;
      for (std::uint32_t b = 0; b < tile; b += 2) {  // an odd last one is paired with a stale row that nobody reads
        sum_two(panel, queries, counts.data() + b * queries, sums.data() + b * kPanel);
      }
      for (std::uint32_t b = 0; b < tile; ++b) {
        double* const out = means.data() + std::size_t{first + b} * columns + column;
        for (std::size_t c = 0; c < std::min(kPanel, columns - column); ++c) out[c] = sums[b * kPanel + c] / drawn[b];
      }
    }
  }
  return means;
}

Interval percentile_interval(double value, std::vector<double> resampled, double confidence) {
  if (!(confidence > 0 && confidence < 1)) {
    throw Error("confidence is " + std::to_string(confidence) + "; give a number between 0 and 1, such as 0.95");
  }
  if (resampled.empty()) return {value, std::nan(""), std::nan("")};
  const double low = quantile(resampled, (1 - confidence) / 2);
  return {value, low, quantile(resampled, (1 + confidence) / 2)};
}

double p_not_better(std::span<const double> best, std::span<const double> other) {
  if (best.size() != other.size()) throw Bug("p_not_better: paired resamples differ in number");
  std::size_t count = 0;
  for (std::size_t b = 0; b < best.size(); ++b) count += best[b] <= other[b];
  return static_cast<double>(1 + count) / static_cast<double>(1 + best.size());
}

}  // namespace guda
