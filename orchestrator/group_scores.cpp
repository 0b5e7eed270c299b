#include "orchestrator/group_scores.hpp"

#include <algorithm>
#include <cmath>

#include "common/error.hpp"
#include "common/raced_sums.hpp"
#include "jobs/noise_schedule.hpp"
#include "jobs/race.hpp"
#include "jobs/slot_lists.hpp"

namespace guda::orchestrator {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

/// Slots that are independent draws of one expectation: those of a timestep of the grid, or of a stratum of drawn
/// slots. In the order of t.
struct Stratum {
  std::vector<std::size_t> slots;
  std::vector<double> weights;
  std::vector<std::size_t> unit;  ///< of each slot: both members of an antithetic pair are one
  std::size_t units = 0;
};

/// Drawn slots stay in their strata with weight 0 where a weighting leaves their timestep out, and with NaN where it
/// leaves all of them out: by chance nothing was measured.
std::vector<Stratum> strata_of(const jobs::Plan& plan, const std::vector<jobs::Slot>& slots,
                               const jobs::WeightingConfig& weighting, std::uint32_t draw_set) {
  const jobs::ScoringConfig& scoring = plan.experiment.scoring;
  const std::uint32_t draws = jobs::draws_of_set(scoring);
  const bool drawn = scoring.allocation != "grid";
  const double visits = draws * (scoring.antithetic ? 2.0 : 1.0);  // of a timestep of the grid
  std::map<std::uint32_t, Stratum> strata;
  std::map<std::pair<std::uint32_t, std::uint32_t>, std::size_t> units;
  const jobs::NoiseSchedule schedule(plan.experiment.diffusion);
  const auto weight_of = [&](const jobs::Slot& slot) {
    if (weighting.kind == "elbo") return slot.weight;
    const double whole = jobs::timestep_weight(weighting, schedule, slot.timestep);
    return drawn ? slot.weight * whole / schedule.elbo_weight(slot.timestep) : whole / visits;
  };
  bool any = false;
  for (std::size_t s = 0; s < slots.size(); ++s) {
    const jobs::Slot& slot = slots[s];
    if (slot.draw / draws != draw_set) continue;
    const bool within = slot.timestep >= weighting.t_min && slot.timestep < weighting.t_max;
    if (!within && !drawn) continue;
    any = any || within;
    const std::uint32_t key = drawn ? slot.stratum : slot.timestep;
    Stratum& stratum = strata[key];
    const auto [unit, is_new] = units.try_emplace({key, drawn ? slot.unit : slot.draw}, stratum.units);
    if (is_new) ++stratum.units;
    stratum.slots.push_back(s);
    stratum.weights.push_back(within ? weight_of(slot) : 0);
    stratum.unit.push_back(unit->second);
  }
  std::vector<Stratum> ordered;
  for (auto& [key, stratum] : strata) {
    if (!any) stratum.weights.assign(stratum.weights.size(), kNan);
    ordered.push_back(std::move(stratum));
  }
  return ordered;
}

/// The same; throws Error when there is none.
std::vector<Stratum> some_strata(const jobs::Plan& plan, const std::vector<jobs::Slot>& slots,
                                 const jobs::WeightingConfig& weighting, std::uint32_t draw_set) {
  auto strata = strata_of(plan, slots, weighting, draw_set);
  if (slots.empty()) {
    throw Error(
        "nothing is scored yet: the pilot that decides on the slots (scoring.allocation: adaptive) is not done");
  }
  if (strata.empty()) {
    throw Error("comparison.weightings: '" + weighting.name + "' leaves no timestep of draw set " +
                std::to_string(draw_set) + "; widen t_min..t_max or lower scoring.stride");
  }
  return strata;
}

/// Sum of squares about the mean, times n/(n-1): the variance of the sum of n independent, equally distributed terms.
double variance_of_sum(const double* terms, std::size_t n) {
  double mean = 0, squares = 0;
  for (std::size_t i = 0; i < n; ++i) mean += terms[i] / static_cast<double>(n);
  for (std::size_t i = 0; i < n; ++i) squares += (terms[i] - mean) * (terms[i] - mean);
  return squares * static_cast<double>(n) / static_cast<double>(n - 1);
}

double collapsed_variance(const std::vector<double>& terms) {
  if (terms.size() < 2) return kNan;
  double variance = 0;
  std::size_t first = 0;
  while (first < terms.size()) {
    const std::size_t size = terms.size() - first == 3 ? 3 : 2;
    variance += variance_of_sum(terms.data() + first, size);
    first += size;
  }
  return variance;
}

/// Scores of one query's groups after a race. `difference(group, slot)`: loss_-k - loss_full; NaN where not scored.
template <class Difference>
std::vector<RacedSum> raced_scores(const std::vector<Stratum>& strata, std::size_t groups,
                                   const Difference& difference) {
  const std::size_t most = strata.front().units;
  std::vector<std::vector<double>> terms(groups, std::vector<double>(strata.size() * most, 0.0));
  std::vector<std::size_t> units(groups);
  for (std::size_t k = 0; k < groups; ++k) {
    std::vector<char> scored(most, 1);
    for (std::size_t i = 0; i < strata.size(); ++i) {
      for (std::size_t j = 0; j < strata[i].slots.size(); ++j) {
        const double d = difference(k, strata[i].slots[j]);
        const std::size_t unit = strata[i].unit[j];
        if (!std::isfinite(d)) scored[unit] = 0;
        terms[k][i * most + unit] += static_cast<double>(most) * strata[i].weights[j] * d;
      }
    }
    units[k] = static_cast<std::size_t>(std::find(scored.begin(), scored.end(), 0) - scored.begin());
  }
  return raced_sums(terms, strata.size(), units);
}

const jobs::MethodConfig& find_method(const jobs::Plan& plan, const std::string& name) {
  for (const auto& method : plan.experiment.methods) {
    if (method.name == name) return method;
  }
  throw Error("the experiment has no method '" + name + "'");
}

template <class Map>
const auto& find_table(const Map& map, const std::string& name) {
  const auto found = map.find(name);
  if (found == map.end()) throw Error("results.h5 holds nothing of '" + name + "'; run the experiment first");
  return found->second;
}

}  // namespace

bool GroupScores::evaluated(std::size_t query) const {
  return std::all_of(row(query), row(query) + groups, [](double v) { return std::isfinite(v); });
}

bool is_reference(const jobs::Experiment& experiment, const std::string& method) {
  return method == experiment.comparison.reference || method == experiment.comparison.second_reference;
}

GroupScores group_scores(const ResultsTable& table, const jobs::Plan& plan, const std::string& method,
                         const jobs::WeightingConfig& weighting, std::uint32_t draw_set) {
  const jobs::MethodConfig& config = find_method(plan, method);
  GroupScores result{
      .queries = table.queries(), .groups = table.groups(), .score = {}, .error = {}, .collapsed = false};
  if (!leaves_losses(config)) {
    result.score = find_table(table.scores, method);
    result.error = find_table(table.score_errors, method);
    return result;
  }
  const auto strata = some_strata(plan, table.shape.slots, weighting, draw_set);
  result.collapsed = std::any_of(strata.begin(), strata.end(), [](const Stratum& s) { return s.units < 2; });
  const auto& full = find_table(table.losses, has_own_full(config) ? own_full_name(method) : "full");
  const auto& without = find_table(table.losses, method);
  const std::size_t slots = table.slots();
  result.score.assign(result.queries * result.groups, kNan);
  result.error.assign(result.queries * result.groups, kNan);
  if (jobs::races(plan.experiment.scoring)) {
    for (std::size_t q = 0; q < result.queries; ++q) {
      const auto raced = raced_scores(strata, result.groups, [&](std::size_t k, std::size_t s) {
        return static_cast<double>(without[(k * result.queries + q) * slots + s]) -
               static_cast<double>(full[q * slots + s]);
      });
      for (std::size_t k = 0; k < result.groups; ++k) {
        result.score[q * result.groups + k] = raced[k].value;
        result.error[q * result.groups + k] = std::sqrt(raced[k].variance);
      }
    }
    return result;
  }
  std::vector<double> terms, sums(strata.size());
  for (std::size_t k = 0; k < result.groups; ++k) {
    for (std::size_t q = 0; q < result.queries; ++q) {
      const float* const full_row = full.data() + q * slots;
      const float* const without_row = without.data() + (k * result.queries + q) * slots;
      double score = 0, variance = 0;
      for (std::size_t i = 0; i < strata.size(); ++i) {
        terms.assign(strata[i].units, 0.0);
        for (std::size_t j = 0; j < strata[i].slots.size(); ++j) {
          const std::size_t s = strata[i].slots[j];
          terms[strata[i].unit[j]] +=
              strata[i].weights[j] * (static_cast<double>(without_row[s]) - static_cast<double>(full_row[s]));
        }
        sums[i] = 0;
        for (const double term : terms) sums[i] += term;
        score += sums[i];
        if (!result.collapsed) variance += variance_of_sum(terms.data(), terms.size());
      }
      if (!std::isfinite(score)) continue;
      if (result.collapsed) variance = collapsed_variance(sums);
      result.score[q * result.groups + k] = score;
      result.error[q * result.groups + k] = std::sqrt(variance);
    }
  }
  return result;
}

std::vector<double> loss_gains(const ResultsTable& table, const jobs::Plan& plan, const std::string& rows,
                               const jobs::WeightingConfig& weighting, std::uint32_t draw_set) {
  const auto strata = some_strata(plan, table.shape.slots, weighting, draw_set);
  const auto& full = find_table(table.losses, "full");
  const auto& without = find_table(table.losses, rows);
  std::vector<double> gains(table.queries());
  for (std::size_t q = 0; q < gains.size(); ++q) {
    for (const Stratum& stratum : strata) {
      for (std::size_t j = 0; j < stratum.slots.size(); ++j) {
        const std::size_t at = q * table.slots() + stratum.slots[j];
        gains[q] += stratum.weights[j] * (static_cast<double>(without[at]) - static_cast<double>(full[at]));
      }
    }
  }
  return gains;
}

GroupScores main_scores(const ResultsTable& table, const jobs::Plan& plan, const std::string& method) {
  const jobs::WeightingConfig elbo{.name = "elbo", .kind = "elbo"};
  return group_scores(table, plan, method, elbo,
                      is_reference(plan.experiment, method) ? jobs::kOracleDraws : jobs::kMethodDraws);
}

GroupScores mean_of(const GroupScores& a, const GroupScores& b) {
  if (a.score.size() != b.score.size()) throw Bug("mean_of: score tables of different shapes");
  GroupScores result = a;
  result.collapsed = a.collapsed || b.collapsed;
  for (std::size_t i = 0; i < a.score.size(); ++i) {
    result.score[i] = (a.score[i] + b.score[i]) / 2;
    result.error[i] = std::hypot(a.error[i], b.error[i]) / 2;
  }
  return result;
}

void write_main_scores(ResultsFile& file, const ResultsTable& table, const jobs::Plan& plan) {
  for (const auto& method : plan.experiment.methods) {
    if (!leaves_losses(method)) continue;
    const GroupScores scores = main_scores(table, plan, method.name);
    file.write_scores(method.name, 0, static_cast<std::uint32_t>(scores.queries),
                      static_cast<std::uint32_t>(scores.groups), scores.score, scores.error);
  }
}

}  // namespace guda::orchestrator
