#pragma once
// Scores of groups that left a race at different times (common/racing.hpp). Each has independent units, every unit a
// whole estimate of the score under noise that all groups share. With y_k[u] unit u of group k, which has n_k units,
// and r[u] the mean of y[u] over the groups that stayed longest, for n units,
//   score[k] = mean over n_k units of (y_k - r) + mean over n units of r.
// A group that left is so placed by its paired difference, whose noise is small, and not by which units it happened to
// see: the difference estimator of double sampling (Cochran, Sampling Techniques, chapter 12, with the slope 1). For
// n_k = n it is the plain mean. Unbiased when n_k does not depend on the values. Pure; any thread.
#include <cstddef>
#include <span>
#include <vector>

namespace guda {

struct RacedSum {
  double value = 0;     ///< NaN without units
  double variance = 0;  ///< of the noise; NaN with fewer than two units
};

/// terms[group][stratum * most_units + unit]: parts of a unit by stratum, independent of each other; read for the first
/// units[group] units. Variance, summed over strata: (1/n_k - 1/n) s^2(y_k - r) + s^2(y_k) / n, sample variances over
/// the n_k units: unbiased, never negative. Throws Error on sizes that do not fit.
[[nodiscard]] std::vector<RacedSum> raced_sums(const std::vector<std::vector<double>>& terms, std::size_t strata,
                                               std::span<const std::size_t> units);

}  // namespace guda
