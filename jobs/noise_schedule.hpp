#pragma once
// The forward process of a diffusion model as tables over integer timesteps, in double precision.
// Notation of the diffusion papers (Ho et al. 2020, arXiv 2006.11239): x_t = sqrt(A_t) x_0 + sqrt(1 - A_t) eps.
#include <cstdint>
#include <vector>

#include "jobs/experiment.hpp"

namespace guda::jobs {

/// Immutable after construction, so any number of threads may read it. Every accessor throws Error when t is not below
/// timesteps().
class NoiseSchedule {
 public:
  /// `linear`, `scaled_linear` and `squaredcos_cap_v2` as in diffusers' schedulers, but not rounded to float32 unless
  /// config.tables is float32: then betas, 1 - beta and the running product are, and only accessors widen them.
  /// Throws Error listing every bad value.
  explicit NoiseSchedule(const DiffusionConfig& config);

  /// Given tables, such as a released scheduler's that are rounded to float32. Throws Error unless they are equally
  /// long, not empty, every beta is in (0, 1) and the products are in (0, 1] and never grow.
  NoiseSchedule(std::vector<double> betas, std::vector<double> alpha_bars);

  [[nodiscard]] std::uint32_t timesteps() const noexcept { return static_cast<std::uint32_t>(betas_.size()); }
  [[nodiscard]] double beta(std::uint32_t t) const { return betas_[checked(t)]; }
  /// A_t: the product of 1 - beta(s) over s <= t.
  [[nodiscard]] double alpha_bar(std::uint32_t t) const { return alpha_bars_[checked(t)]; }
  /// sqrt(A_t), the factor of x_0 in x_t.
  [[nodiscard]] double sqrt_alpha_bar(std::uint32_t t) const;
  /// sqrt(1 - A_t), the factor of the noise in x_t.
  [[nodiscard]] double sigma(std::uint32_t t) const;
  /// A_t / (1 - A_t).
  [[nodiscard]] double snr(std::uint32_t t) const;
  /// Nats per squared error of the noise prediction, summed over pixels: the Kullback-Leibler divergence between the
  /// true and the modelled posterior of x_{t-1} under the true posterior's variance,
  /// b_t A_{t-1} / (2 A_t (1 - A_{t-1})). Not defined at t = 0: Error.
  [[nodiscard]] double elbo_weight(std::uint32_t t) const;

 private:
  [[nodiscard]] std::size_t checked(std::uint32_t t) const;

  std::vector<double> betas_, alpha_bars_;
};

}  // namespace guda::jobs
