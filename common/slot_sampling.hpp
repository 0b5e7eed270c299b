#pragma once
// Fewer slots for the same sum. A score is a sum over a grid of timesteps, sum_i w_i d_i, where d_i is a difference of
// losses that one noise draw measures with an error of its own. Instead of visiting every grid point, N units are
// drawn: the points, in the order of t, are laid on [0, 1) as intervals of length p_i, [0, 1) is cut into equal strata,
// and each unit of a stratum falls uniformly into it. A unit on point i weighs w_i / (N p_i), so that the expectation
// is the grid sum whatever p is, as long as p was fixed before the units were drawn: the pilot's own slots are
// discarded. (To re-weight them would save at most the pilot's share, a few percent, and make p depend on what is
// summed.) Sources: Cochran, Sampling Techniques, sections 5.5 (allocation in proportion to the standard deviation),
// 5A.7 and 9A.2 (unequal probabilities); stratified: Owen, Monte Carlo theory, methods and examples, section 8.4. Pure;
// any thread. Every function throws Error on sizes that do not fit and on values that are not finite.
#include <cstdint>
#include <span>
#include <vector>

namespace guda {

/// Noise of a pilot: differences [row, point, draw], row = any (query, group), draw >= 2. Returns per point the root of
/// the mean over rows of the sample variance over draws.
[[nodiscard]] std::vector<double> pooled_spread(std::span<const double> differences, std::size_t points,
                                                std::size_t draws);

/// p_i in proportion to |w_i| spread_i, mixed with a uniform share `floor` (0 < floor <= 1) over the points of weight
/// other than 0, which bounds a unit's weight where the pilot saw little noise; sums to 1. All spreads 0: uniform.
[[nodiscard]] std::vector<double> slot_probabilities(std::span<const double> weights, std::span<const double> spread,
                                                     double floor);

/// A member of a unit: one forward per model.
struct SampledSlot {
  std::uint32_t point = 0;  ///< index into the grid
  std::uint32_t draw = 0;   ///< which noise draw of that point, from 0; a pair shares it
  bool negated = false;     ///< the second member of an antithetic pair: the same noise with the other sign
  std::uint32_t stratum = 0, unit = 0;
  double weight = 0;  ///< sum over slots of weight * difference estimates the grid sum
};

/// How many units; slots = strata * units_per_stratum, twice that for antithetic pairs.
struct SlotDesign {
  std::uint32_t strata = 1;
  std::uint32_t units_per_stratum = 2;  ///< two or more give a plain standard error
  bool antithetic = false;              ///< a unit is the mean of +eps and -eps, and counts as one draw
};

/// Units in turn, each unit's strata in the order of t, so that every prefix of whole units is a smaller design of the
/// same kind (its weights are those of the whole list times units_per_stratum / units taken).
[[nodiscard]] std::vector<SampledSlot> sample_slots(std::span<const double> weights,
                                                    std::span<const double> probabilities, const SlotDesign& design,
                                                    std::uint64_t seed);

/// An estimate with the variance of its noise. NaN where a stratum has one unit.
struct SlotEstimate {
  double value = 0, variance = 0;
  double degrees = 0;  ///< degrees of freedom of the variance
};

/// differences[i] belongs to slots[i]. Variance: per stratum of U units with sums c_u, U/(U-1) sum (c_u - mean c)^2:
/// unbiased. Degrees of freedom as Satterthwaite has them, fourth moments estimated without bias for normal sums:
/// (sum v)^2 / sum v^2/(U+1) - 2, at least 1, at most their number (Welch 1947; Satterthwaite 1946).
[[nodiscard]] SlotEstimate estimate_sum(std::span<const SampledSlot> slots, std::span<const double> differences);

/// Half the width of the interval of Student's t around the estimate; confidence in (0, 1).
[[nodiscard]] double half_width(const SlotEstimate& estimate, double confidence);

/// What the variance of estimate_sum() will be when draws of point i have the given expectation and standard deviation
/// (of a unit: for antithetic pairs that of the pair's mean). Exact.
[[nodiscard]] double sampling_variance(std::span<const double> weights, std::span<const double> probabilities,
                                       std::span<const double> means, std::span<const double> spread,
                                       const SlotDesign& design);

}  // namespace guda
