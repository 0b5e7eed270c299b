#pragma once
// A problem whose answer is known: data in the plane from a mixture of Gaussians, two of them per group; a model that
// knows the mixture denoises exactly (the posterior mean is closed form), and so does one that never saw a group. The
// expectation of a loss difference over the noise is an integral over the plane, which the trapezoidal rule gives to
// many digits (the integrands are analytic and decay like the noise).
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <vector>

#include "common/random.hpp"
#include "common/slot_sampling.hpp"
#include "jobs/noise_schedule.hpp"

namespace guda::test {

using Plane = std::array<double, 2>;

/// A standard normal of the plane (Box and Muller) as a function of (seed, counter).
inline Plane normal_pair(std::uint64_t seed, std::uint64_t counter) {
  const double radius = std::sqrt(-2 * std::log(1 - random_uniform(seed, 2 * counter)));
  const double angle = 2 * std::numbers::pi * random_uniform(seed, 2 * counter + 1);
  return {radius * std::cos(angle), radius * std::sin(angle)};
}

class GaussianMixture {
 public:
  static constexpr std::uint32_t kGroups = 8, kComponents = 2 * kGroups;
  static constexpr double kSpread = 0.5;  ///< standard deviation of every component

  GaussianMixture() : schedule_(jobs::DiffusionConfig{.timesteps = 1000, .schedule = "squaredcos_cap_v2"}) {
    for (std::uint32_t c = 0; c < kComponents; ++c) {
      const Plane at = normal_pair(kSeed, c);
      centres_[c] = {1.5 * at[0], 1.5 * at[1]};
    }
    for (std::uint32_t t = 10; t < 1000; t += 20) {
      timesteps_.push_back(t);
      weights_.push_back(schedule_.elbo_weight(t));
    }
  }

  [[nodiscard]] std::size_t points() const { return timesteps_.size(); }
  [[nodiscard]] const std::vector<double>& weights() const { return weights_; }

  /// A sample of the mixture.
  [[nodiscard]] Plane query(std::uint64_t number) const {
    const std::uint64_t seed = random_bits(kSeed + 1, number);
    const Plane noise = normal_pair(seed, 1);
    const Plane& centre = centres_[random_bits(seed, 0) % kComponents];
    return {centre[0] + kSpread * noise[0], centre[1] + kSpread * noise[1]};
  }

  /// Per group the loss without it minus the full model's at a grid point: ||eps_hat - eps||^2 is
  /// A / (1 - A) ||x - E[x | x_t]||^2.
  [[nodiscard]] std::array<double, kGroups> differences(const Plane& x, std::size_t point, const Plane& eps) const {
    const double alpha = schedule_.alpha_bar(timesteps_[point]), noise = 1 - alpha, root = std::sqrt(alpha);
    const double variance = alpha * kSpread * kSpread + noise, gain = root * kSpread * kSpread / variance;
    const Plane noisy{root * x[0] + std::sqrt(noise) * eps[0], root * x[1] + std::sqrt(noise) * eps[1]};
    std::array<double, kComponents> log_share{};
    double top = -1e300;
    for (std::uint32_t c = 0; c < kComponents; ++c) {
      const double dx = noisy[0] - root * centres_[c][0], dy = noisy[1] - root * centres_[c][1];
      log_share[c] = -(dx * dx + dy * dy) / (2 * variance);
      top = std::max(top, log_share[c]);
    }
    std::array<Sums, kGroups> of_group{};
    for (std::uint32_t c = 0; c < kComponents; ++c) {
      const double share = std::exp(log_share[c] - top), kept = 1 - gain * root;
      of_group[c / 2].add({share, share * (kept * centres_[c][0] + gain * noisy[0]),
                           share * (kept * centres_[c][1] + gain * noisy[1])});
    }
    Sums all;
    for (const Sums& sums : of_group) all.add(sums);
    const double factor = alpha / noise, full = factor * all.distance(x);
    std::array<double, kGroups> result{};
    for (std::uint32_t k = 0; k < kGroups; ++k) {
      Sums others;  // added up, not subtracted: the group may hold nearly everything
      for (std::uint32_t j = 0; j < kGroups; ++j) {
        if (j != k) others.add(of_group[j]);
      }
      result[k] = factor * others.distance(x) - full;
    }
    return result;
  }

  /// Per group and grid point, expectation and standard deviation of the difference over the noise.
  struct Moments {
    std::array<std::vector<double>, kGroups> mean, spread;
  };
  [[nodiscard]] Moments moments(const Plane& x, double step = 0.4) const {
    Moments result;
    result.mean.fill(std::vector<double>(points(), 0.0));
    result.spread = result.mean;
    const int reach = static_cast<int>(6 / step);
    for (std::size_t i = 0; i < points(); ++i) {
      for (int row = -reach; row <= reach; ++row) {
        for (int column = -reach; column <= reach; ++column) {
          const Plane eps{step * row, step * column};
          const double density = std::exp(-(eps[0] * eps[0] + eps[1] * eps[1]) / 2) / (2 * std::numbers::pi);
          const auto at = differences(x, i, eps);
          for (std::uint32_t k = 0; k < kGroups; ++k) {
            result.mean[k][i] += step * step * density * at[k];
            result.spread[k][i] += step * step * density * at[k] * at[k];
          }
        }
      }
      for (std::uint32_t k = 0; k < kGroups; ++k) {
        result.spread[k][i] = std::sqrt(result.spread[k][i] - result.mean[k][i] * result.mean[k][i]);
      }
    }
    return result;
  }

  /// The true scores of a query: sums over the grid.
  [[nodiscard]] std::array<double, kGroups> scores(const Moments& of) const {
    std::array<double, kGroups> result{};
    for (std::uint32_t k = 0; k < kGroups; ++k) {
      for (std::size_t i = 0; i < points(); ++i) result[k] += weights_[i] * of.mean[k][i];
    }
    return result;
  }

  /// Spreads as a pilot finds them: a few queries of their own, every grid point, a few draws.
  [[nodiscard]] std::vector<double> pilot_spread(std::uint32_t queries, std::uint32_t draws) const {
    std::vector<double> differences_of(std::size_t{queries} * kGroups * points() * draws);
    for (std::uint32_t q = 0; q < queries; ++q) {
      for (std::size_t i = 0; i < points(); ++i) {
        for (std::uint32_t j = 0; j < draws; ++j) {
          const auto at =
              differences(query(1'000'000 + q), i, normal_pair(random_bits(kSeed + 2, q * points() + i), j));
          for (std::uint32_t k = 0; k < kGroups; ++k) {
            differences_of[((q * kGroups + k) * points() + i) * draws + j] = at[k];
          }
        }
      }
    }
    return pooled_spread(differences_of, points(), draws);
  }

  /// What a slot measures: the noise of a repetition is a function of (repetition, grid point, draw).
  [[nodiscard]] std::array<double, kGroups> measured(const Plane& x, const SampledSlot& slot,
                                                     std::uint64_t repetition) const {
    Plane eps = normal_pair(random_bits(repetition, slot.point), slot.draw);
    if (slot.negated) eps = {-eps[0], -eps[1]};
    return differences(x, slot.point, eps);
  }

 private:
  static constexpr std::uint64_t kSeed = 20261124;
  struct Sums {
    double share = 0, x = 0, y = 0;
    void add(const Sums& other) { share += other.share, x += other.x, y += other.y; }
    [[nodiscard]] double distance(const Plane& from) const {
      const double dx = from[0] - x / share, dy = from[1] - y / share;
      return dx * dx + dy * dy;
    }
  };

  jobs::NoiseSchedule schedule_;
  std::array<Plane, kComponents> centres_{};
  std::vector<std::uint32_t> timesteps_;
  std::vector<double> weights_;
};

}  // namespace guda::test
