#include "common/raced_sums.hpp"

#include <algorithm>
#include <limits>

#include "common/error.hpp"

namespace guda {
namespace {

double sample_variance(std::span<const double> values) {
  const auto n = static_cast<double>(values.size());
  double mean = 0, squares = 0;
  for (const double v : values) mean += v / n;
  for (const double v : values) squares += (v - mean) * (v - mean);
  return squares / (n - 1);
}

}  // namespace

std::vector<RacedSum> raced_sums(const std::vector<std::vector<double>>& terms, std::size_t strata,
                                 std::span<const std::size_t> units) {
  if (terms.empty() || strata == 0 || units.size() != terms.size() || terms.front().size() % strata != 0)
    throw Error("raced sums of sizes that do not fit");
  const std::size_t most = terms.front().size() / strata, longest = *std::max_element(units.begin(), units.end());
  if (longest > most) throw Error("raced sums of more units than there are");
  const auto stayed = static_cast<double>(std::count(units.begin(), units.end(), longest));
  std::vector<double> common(strata * longest, 0.0);  // [stratum, unit]
  for (std::size_t k = 0; k < terms.size(); ++k) {
    if (terms[k].size() != strata * most) throw Error("raced sums of sizes that do not fit");
    if (units[k] != longest) continue;
    for (std::size_t i = 0; i < strata; ++i) {
      for (std::size_t u = 0; u < longest; ++u) common[i * longest + u] += terms[k][i * most + u] / stayed;
    }
  }
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  const auto n = static_cast<double>(longest);
  std::vector<RacedSum> sums;
  std::vector<double> own(longest);
  for (std::size_t k = 0; k < terms.size(); ++k) {
    const auto mine = static_cast<double>(units[k]);
    RacedSum sum{units[k] > 0 ? 0 : kNan, units[k] > 1 ? 0 : kNan};
    for (std::size_t i = 0; i < strata; ++i) {
      const std::span<const double> whole(terms[k].data() + i * most, units[k]);
      for (std::size_t u = 0; u < units[k]; ++u) {
        own[u] = whole[u] - common[i * longest + u];
        sum.value += own[u] / mine;
      }
      for (std::size_t u = 0; u < longest; ++u) sum.value += common[i * longest + u] / n;
      if (units[k] < 2) continue;
      sum.variance += (1 / mine - 1 / n) * sample_variance(std::span<const double>(own).first(units[k])) +
                      sample_variance(whole) / n;
    }
    sums.push_back(sum);
  }
  return sums;
}

}  // namespace guda
