#include "common/racing.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

#include "common/error.hpp"

namespace guda {

double race_margin(std::uint32_t n, double alpha, double r) {
  const double count = n, spread = count * r + 1;
  return std::sqrt(2 * spread / (count * count * r) * std::log1p(std::sqrt(spread) / (2 * alpha)));
}

Race::Race(std::uint32_t groups, const RaceRules& rules)
    : groups_(groups),
      rules_(rules),
      pairs_(std::size_t{groups} * groups),
      live_(groups, 1),
      place_(groups, 0),
      spent_(groups, 0),
      sums_(groups, 0.0) {
  if (groups < 2) throw Error("a race needs at least two groups");
  if (!(rules.confidence >= 0.5 && rules.confidence < 1)) throw Error("a race's confidence is not in [0.5, 1)");
  if (rules.first_decision < 8) throw Error("a race decides after 8 units at the earliest");
  if (rules.most_units < rules.first_decision) throw Error("a race ends before its first decision");
  const double members = rules.until == RaceUntil::top1 ? 1 : std::min(3U, groups - 1), n = groups;
  const double pairs = rules.until == RaceUntil::ranking ? n * (n - 1) / 2 : members * (n - members);
  alpha_ = (1 - rules.confidence) / pairs;
  // Tightest at twice the first decision; the formula is the paper's closed form for the two-sided boundary.
  const double log_alpha = std::max(1e-9, -2 * std::log(2 * alpha_));
  r_ = std::max(0.5, log_alpha + std::log(log_alpha) + 1) / (2.0 * rules.first_decision);
}

bool Race::above(std::uint32_t a, std::uint32_t b) const {
  const Pair& of = pairs_[std::size_t{std::min(a, b)} * groups_ + std::max(a, b)];
  return of.declared == (a < b ? 1 : -1);
}

void Race::add(std::span<const double> values) {
  if (finished()) throw Bug("a finished race got another unit");
  if (values.size() != groups_) throw Bug("a race's unit has not one value per group");
  for (std::uint32_t a = 0; a < groups_; ++a) {
    if (live_[a] && !std::isfinite(values[a])) throw Error("a race got a score that is not finite");
  }
  ++units_;
  for (std::uint32_t a = 0; a < groups_; ++a) {
    if (!live_[a]) continue;
    ++spent_[a];
    sums_[a] += values[a];
    for (std::uint32_t b = a + 1; b < groups_; ++b) {
      if (!live_[b]) continue;
      Pair& of = pair(a, b);
      const double difference = values[a] - values[b], step = difference - of.mean;
      of.mean += step / ++of.n;
      of.squares += step * (difference - of.mean);
    }
  }
  if (units_ >= rules_.first_decision) declare();
}

void Race::declare() {
  for (std::uint32_t a = 0; a < groups_; ++a) {
    for (std::uint32_t b = a + 1; b < groups_; ++b) {
      Pair& of = pair(a, b);
      if (of.declared != 0 || !live_[a] || !live_[b]) continue;
      const double margin = std::sqrt(of.squares / (of.n - 1)) * race_margin(of.n, alpha_, r_);
      if (std::abs(of.mean) > margin) of.declared = of.mean > 0 ? 1 : -1;
    }
  }
  if (rules_.until == RaceUntil::ranking) return close_ranking();
  close_top(rules_.until == RaceUntil::top1 ? 1 : std::min(3U, groups_));
}

void Race::close_top(std::uint32_t k) {
  for (bool changed = true; changed;) {
    changed = false;
    for (std::uint32_t a = 0; a < groups_; ++a) {
      if (place_[a] != 0) continue;
      std::uint32_t better = 0, worse = 0;
      for (std::uint32_t b = 0; b < groups_; ++b) {
        if (b == a) continue;
        better += place_[b] == 1 || above(b, a);
        worse += place_[b] == -1 || above(a, b);
      }
      if (worse >= groups_ - k) place_[a] = 1;
      if (better >= k) place_[a] = -1;
      changed = changed || place_[a] != 0;
    }
  }
  decided_ = std::all_of(place_.begin(), place_.end(), [](int place) { return place != 0; });
  for (std::uint32_t a = 0; a < groups_; ++a) live_[a] = place_[a] == 0;
}

void Race::close_ranking() {
  decided_ = true;
  for (std::uint32_t a = 0; a < groups_; ++a) {
    bool open = false;
    for (std::uint32_t b = 0; b < groups_; ++b) open = open || (b != a && !above(a, b) && !above(b, a));
    live_[a] = open;
    decided_ = decided_ && !open;
  }
}

std::vector<int> Race::places() const {
  if (rules_.until != RaceUntil::ranking) return place_;
  std::vector<int> places(groups_, 0);
  for (std::uint32_t a = 0; a < groups_; ++a) {
    if (live_[a]) continue;
    places[a] = 1;
    for (std::uint32_t b = 0; b < groups_; ++b) places[a] += above(b, a) ? 1 : 0;
  }
  return places;
}

std::vector<std::uint32_t> Race::order() const {
  std::vector<int> standing(groups_, 0);
  std::vector<double> mean(groups_, 0.0);
  for (std::uint32_t a = 0; a < groups_; ++a) {
    if (spent_[a] > 0) mean[a] = sums_[a] / spent_[a];
    standing[a] = place_[a] * static_cast<int>(groups_ * groups_);
    if (rules_.until != RaceUntil::ranking) continue;
    for (std::uint32_t b = 0; b < groups_; ++b) standing[a] += above(a, b) - above(b, a);
  }
  std::vector<std::uint32_t> order(groups_);
  std::iota(order.begin(), order.end(), 0U);
  std::stable_sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
    return standing[a] != standing[b] ? standing[a] > standing[b] : mean[a] > mean[b];
  });
  return order;
}

}  // namespace guda
