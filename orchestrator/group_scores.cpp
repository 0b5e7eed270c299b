#include "orchestrator/group_scores.hpp"

#include <algorithm>
#include <cmath>

#include "common/error.hpp"
#include "jobs/noise_schedule.hpp"

namespace guda::orchestrator {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

/// Slots of one timestep, in the order of t.
struct Stratum {
  std::uint32_t timestep = 0;
  std::vector<std::size_t> slots;
  std::vector<double> weights;
};

/// The given weights, linear between their timesteps.
double custom_weight(const jobs::WeightingConfig& weighting, std::uint32_t t) {
  const auto& at = weighting.timesteps;
  const auto next = std::lower_bound(at.begin(), at.end(), t);
  if (next == at.end()) return weighting.weights.back();
  const auto i = static_cast<std::size_t>(next - at.begin());
  if (i == 0 || *next == t) return weighting.weights[i];
  const double part = static_cast<double>(t - at[i - 1]) / static_cast<double>(at[i] - at[i - 1]);
  return weighting.weights[i - 1] + part * (weighting.weights[i] - weighting.weights[i - 1]);
}

std::vector<Stratum> strata_of(const jobs::Plan& plan, const std::vector<jobs::Slot>& slots,
                               const jobs::WeightingConfig& weighting, std::uint32_t draw_set) {
  const std::uint32_t draws = std::max(1U, plan.experiment.scoring.draws);
  std::map<std::uint32_t, Stratum> by_timestep;
  const jobs::NoiseSchedule schedule(plan.experiment.diffusion);
  const auto weight_of = [&](const jobs::Slot& slot) {
    if (weighting.kind == "flat") return 1.0 / draws;
    if (weighting.kind == "min_snr") return std::min(1.0, weighting.gamma / schedule.snr(slot.timestep)) / draws;
    if (weighting.kind == "custom") return custom_weight(weighting, slot.timestep) / draws;
    return slot.weight;
  };
  for (std::size_t s = 0; s < slots.size(); ++s) {
    const jobs::Slot& slot = slots[s];
    if (slot.draw / draws != draw_set || slot.timestep < weighting.t_min || slot.timestep >= weighting.t_max) continue;
    Stratum& stratum = by_timestep[slot.timestep];
    stratum.timestep = slot.timestep;
    stratum.slots.push_back(s);
    stratum.weights.push_back(weight_of(slot));
  }
  std::vector<Stratum> strata;
  for (auto& [timestep, stratum] : by_timestep) strata.push_back(std::move(stratum));
  return strata;
}

/// The same; throws Error when there is none.
std::vector<Stratum> some_strata(const jobs::Plan& plan, const std::vector<jobs::Slot>& slots,
                                 const jobs::WeightingConfig& weighting, std::uint32_t draw_set) {
  auto strata = strata_of(plan, slots, weighting, draw_set);
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

std::vector<jobs::WeightingConfig> weightings_of(const jobs::Experiment& experiment) {
  if (!experiment.comparison.weightings.empty()) return experiment.comparison.weightings;
  const std::uint32_t timesteps = experiment.diffusion.timesteps;
  return {{.name = "elbo", .kind = "elbo"},
          {.name = "mid", .kind = "elbo", .t_min = timesteps / 10, .t_max = timesteps - timesteps / 10}};
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
  result.collapsed = std::any_of(strata.begin(), strata.end(), [](const Stratum& s) { return s.slots.size() < 2; });
  const auto& full = find_table(table.losses, has_own_full(config) ? own_full_name(method) : "full");
  const auto& without = find_table(table.losses, method);
  const std::size_t slots = table.slots();
  result.score.assign(result.queries * result.groups, kNan);
  result.error.assign(result.queries * result.groups, kNan);
  std::vector<double> terms, sums(strata.size());
  for (std::size_t k = 0; k < result.groups; ++k) {
    for (std::size_t q = 0; q < result.queries; ++q) {
      const float* const full_row = full.data() + q * slots;
      const float* const without_row = without.data() + (k * result.queries + q) * slots;
      double score = 0, variance = 0;
      for (std::size_t i = 0; i < strata.size(); ++i) {
        terms.clear();
        for (std::size_t j = 0; j < strata[i].slots.size(); ++j) {
          const std::size_t s = strata[i].slots[j];
          terms.push_back(strata[i].weights[j] *
                          (static_cast<double>(without_row[s]) - static_cast<double>(full_row[s])));
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
