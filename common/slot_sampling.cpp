#include "common/slot_sampling.hpp"

#include <algorithm>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>
#include <limits>
#include <string>

#include "common/error.hpp"
#include "common/random.hpp"

namespace guda {
namespace {

void require_slot_values(std::span<const double> values, std::size_t points, const char* what) {
  if (values.size() != points || points == 0) {
    throw Error(std::string(what) + ": " + std::to_string(values.size()) + " values for " + std::to_string(points) +
                " grid points");
  }
  for (const double value : values) {
    if (!std::isfinite(value)) throw Error(std::string(what) + " has a value that is not finite");
  }
}

void require_slot_design(const SlotDesign& design) {
  if (design.strata == 0 || design.units_per_stratum == 0) throw Error("a slot design needs at least one unit");
}

/// Upper ends of the points' intervals; the last that has any length ends at 1 whatever rounding did.
std::vector<double> interval_ends(std::span<const double> weights, std::span<const double> probabilities) {
  std::vector<double> ends(probabilities.size());
  double end = 0;
  for (std::size_t i = 0; i < ends.size(); ++i) {
    if (probabilities[i] < 0) throw Error("a slot probability is negative");
    if (probabilities[i] == 0 && weights[i] != 0) throw Error("a slot of weight other than 0 has probability 0");
    ends[i] = end += probabilities[i];
  }
  if (std::abs(end - 1) > 1e-9) throw Error("slot probabilities sum to " + std::to_string(end) + ", not to 1");
  for (std::size_t i = ends.size(); i-- > 0;) {
    ends[i] = 1;
    if (probabilities[i] > 0) break;
  }
  return ends;
}

}  // namespace

std::vector<double> pooled_spread(std::span<const double> differences, std::size_t points, std::size_t draws) {
  if (draws < 2) throw Error("a pilot needs at least two draws per timestep");
  if (points == 0 || differences.empty() || differences.size() % (points * draws) != 0) {
    throw Error("a pilot's differences are not [row, point, draw]");
  }
  require_slot_values(differences, differences.size(), "pilot");
  const std::size_t rows = differences.size() / (points * draws);
  std::vector<double> spread(points, 0.0);
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t i = 0; i < points; ++i) {
      const auto sample = differences.subspan((r * points + i) * draws, draws);
      double mean = 0, squares = 0;
      for (const double d : sample) mean += d / static_cast<double>(draws);
      for (const double d : sample) squares += (d - mean) * (d - mean);
      spread[i] += squares / static_cast<double>((draws - 1) * rows);
    }
  }
  for (double& s : spread) s = std::sqrt(s);
  return spread;
}

std::vector<double> slot_probabilities(std::span<const double> weights, std::span<const double> spread, double floor) {
  require_slot_values(weights, weights.size(), "weights");
  require_slot_values(spread, weights.size(), "spread");
  if (!(floor > 0 && floor <= 1)) throw Error("the uniform share of slot probabilities is not in (0, 1]");
  double total = 0, used = 0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    if (spread[i] < 0) throw Error("spread has a negative value");
    total += std::abs(weights[i]) * spread[i];
    used += weights[i] != 0;
  }
  if (used == 0) throw Error("no grid point has a weight");
  std::vector<double> probabilities(weights.size(), 0.0);
  for (std::size_t i = 0; i < weights.size(); ++i) {
    if (weights[i] == 0) continue;
    probabilities[i] = total == 0 ? 1 / used : floor / used + (1 - floor) * std::abs(weights[i]) * spread[i] / total;
  }
  return probabilities;
}

std::vector<SampledSlot> sample_slots(std::span<const double> weights, std::span<const double> probabilities,
                                      const SlotDesign& design, std::uint64_t seed) {
  require_slot_values(weights, weights.size(), "weights");
  require_slot_values(probabilities, weights.size(), "probabilities");
  require_slot_design(design);
  const std::vector<double> ends = interval_ends(weights, probabilities);
  const double units = static_cast<double>(design.strata) * design.units_per_stratum;
  std::vector<std::uint32_t> draws(weights.size(), 0);
  std::vector<SampledSlot> slots;
  slots.reserve(std::size_t{design.strata} * design.units_per_stratum * (design.antithetic ? 2 : 1));
  std::uint64_t counter = 0;
  for (std::uint32_t unit = 0; unit < design.units_per_stratum; ++unit) {
    for (std::uint32_t stratum = 0; stratum < design.strata; ++stratum) {
      const double at = (stratum + random_uniform(seed, counter++)) / design.strata;
      const auto found = std::upper_bound(ends.begin(), ends.end(), at);
      const auto point = static_cast<std::size_t>(std::min(found, ends.end() - 1) - ends.begin());
      SampledSlot slot{.point = static_cast<std::uint32_t>(point),
                       .draw = draws[point]++,
                       .stratum = stratum,
                       .unit = unit,
                       .weight = weights[point] / (units * probabilities[point])};
      if (design.antithetic) slot.weight /= 2;
      slots.push_back(slot);
      if (!design.antithetic) continue;
      slot.negated = true;
      slots.push_back(slot);
    }
  }
  return slots;
}

SlotEstimate estimate_sum(std::span<const SampledSlot> slots, std::span<const double> differences) {
  require_slot_values(differences, slots.size(), "differences");
  std::uint32_t strata = 0, units = 0;
  for (const SampledSlot& slot : slots) {
    strata = std::max(strata, slot.stratum + 1);
    units = std::max(units, slot.unit + 1);
  }
  std::vector<double> sums(std::size_t{strata} * units, 0.0);  // [stratum, unit]
  SlotEstimate estimate;
  for (std::size_t i = 0; i < slots.size(); ++i) {
    const double term = slots[i].weight * differences[i];
    sums[std::size_t{slots[i].stratum} * units + slots[i].unit] += term;
    estimate.value += term;
  }
  if (units < 2) {
    estimate.variance = estimate.degrees = std::numeric_limits<double>::quiet_NaN();
    return estimate;
  }
  const double u = units;
  double fourth = 0;
  for (std::size_t h = 0; h < strata; ++h) {
    const std::span<const double> sample(sums.data() + h * units, units);
    double mean = 0, squares = 0;
    for (const double c : sample) mean += c / u;
    for (const double c : sample) squares += (c - mean) * (c - mean);
    const double v = squares * u / (u - 1);
    estimate.variance += v;
    fourth += v * v / (u + 1);
  }
  const double most = strata * (u - 1);
  const double welch = fourth > 0 ? estimate.variance * estimate.variance / fourth - 2 : most;
  estimate.degrees = std::clamp(welch, 1.0, most);
  return estimate;
}

double half_width(const SlotEstimate& estimate, double confidence) {
  if (!(confidence > 0 && confidence < 1)) throw Error("a confidence is not between 0 and 1");
  if (!(estimate.degrees > 0)) return std::numeric_limits<double>::quiet_NaN();
  const boost::math::students_t student(estimate.degrees);
  return boost::math::quantile(student, (1 + confidence) / 2) * std::sqrt(estimate.variance);
}

double sampling_variance(std::span<const double> weights, std::span<const double> probabilities,
                         std::span<const double> means, std::span<const double> spread, const SlotDesign& design) {
  require_slot_values(weights, weights.size(), "weights");
  require_slot_values(probabilities, weights.size(), "probabilities");
  require_slot_values(means, weights.size(), "means");
  require_slot_values(spread, weights.size(), "spread");
  require_slot_design(design);
  const std::vector<double> ends = interval_ends(weights, probabilities);
  const double units = static_cast<double>(design.strata) * design.units_per_stratum;
  double variance = 0;
  for (std::uint32_t stratum = 0; stratum < design.strata; ++stratum) {
    const double from = static_cast<double>(stratum) / design.strata, to = (stratum + 1.0) / design.strata;
    double mean = 0, square = 0;
    for (std::size_t i = 0; i < weights.size(); ++i) {
      const double begin = i == 0 ? 0 : ends[i - 1];
      const double share = (std::min(to, ends[i]) - std::max(from, begin)) * design.strata;
      if (share <= 0) continue;
      const double factor = weights[i] / (units * probabilities[i]);
      mean += share * factor * means[i];
      square += share * factor * factor * (means[i] * means[i] + spread[i] * spread[i]);
    }
    variance += design.units_per_stratum * (square - mean * mean);
  }
  return variance;
}

}  // namespace guda
