#include "orchestrator/cost_model.hpp"

#include <algorithm>
#include <cmath>

namespace guda::orchestrator {
namespace {

constexpr double kNormal90 = 1.2816;  // standard normal quantile of 0.9
constexpr double kPriorSpread =
    0.5;  // of ln ratio: a plan that nothing was measured of is right within a factor of two, mostly
constexpr double kPriorWeight = 1;        // in observations
constexpr double kSmallestSpread = 0.02;  // machines are never steadier than this

}  // namespace

void CostModel::Fit::add(double predicted_seconds, double measured_seconds) {
  ++count;
  predicted += predicted_seconds;
  measured += measured_seconds;
  const double value = std::log(measured_seconds / predicted_seconds);
  const double step = value - mean_log;
  mean_log += step / double(count);
  squares += step * (value - mean_log);
}

double CostModel::Fit::spread() const {
  const double variance = (kPriorWeight * kPriorSpread * kPriorSpread + squares) / (kPriorWeight + double(count));
  return std::max(kSmallestSpread, std::sqrt(variance));
}

void CostModel::observe(std::size_t kind, double predicted, double measured) {
  if (!(predicted > 0) || !(measured > 0) || !std::isfinite(predicted) || !std::isfinite(measured)) return;
  if (kind >= kinds_.size()) kinds_.resize(kind + 1);
  kinds_[kind].add(predicted, measured);
  pool_.add(predicted, measured);
}

const CostModel::Fit* CostModel::fit_of(std::size_t kind) const {
  if (kind < kinds_.size() && kinds_[kind].count > 0) return &kinds_[kind];
  return pool_.count > 0 ? &pool_ : nullptr;
}

CostRange CostModel::ratio(std::size_t kind) const {
  const Fit* fit = fit_of(kind);
  // Sums weigh long jobs, which decide how long a run takes; start-up costs of tiny jobs don't mislead.
  const double middle = fit ? fit->measured / fit->predicted : 1;
  // Borrowed from other kinds: their spread says nothing about this one.
  const bool own = fit && fit != &pool_;
  const double factor = std::exp(kNormal90 * (own ? fit->spread() : kPriorSpread));
  // The spread is one of logarithms, around their mean, which lies below the ratio of the sums.
  const double centre = own ? std::exp(fit->mean_log) : middle;
  return {std::min(centre / factor, middle), middle, std::max(centre * factor, middle)};
}

CostRange CostModel::estimate(std::size_t kind, double predicted) const {
  const CostRange r = ratio(kind);
  return {predicted * r.p10, predicted * r.p50, predicted * r.p90};
}

CostRange CostModel::total(std::span<const WorkLeft> left) const {
  double middle = 0, variance = 0;
  for (std::size_t kind = 0; kind < left.size(); ++kind) {
    if (left[kind].jobs == 0) continue;
    const double seconds = left[kind].predicted * ratio(kind).p50;
    const Fit* fit = fit_of(kind);
    const bool own = fit && fit != &pool_;
    const double spread = own ? fit->spread() : kPriorSpread;
    const double of_ratio = spread * spread / (own ? double(fit->count) : 1);
    const double of_jobs = spread * spread / double(left[kind].jobs);
    middle += seconds;
    variance += seconds * seconds * (of_ratio + of_jobs);
  }
  if (middle <= 0) return {};
  const double factor = std::exp(kNormal90 * std::sqrt(variance) / middle);
  return {middle / factor, middle, middle * factor};
}

}  // namespace guda::orchestrator
