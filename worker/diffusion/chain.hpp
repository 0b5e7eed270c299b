#pragma once
// The samplers behind one face: timesteps, the noise after one, the step from one.
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <variant>
#include <vector>

#include "jobs/experiment.hpp"
#include "worker/diffusion/ddim.hpp"
#include "worker/diffusion/ddpm.hpp"
#include "worker/diffusion/dpm_solver.hpp"

namespace guda::worker {

/// Immutable; any thread.
class Chain {
 public:
  /// Throws Error on a sampler that is not known or does not fit the schedule.
  Chain(const jobs::SamplerConfig& config, const jobs::NoiseSchedule& schedule, Prediction prediction);

  /// The timesteps to visit, in order (descending).
  [[nodiscard]] const std::vector<std::uint32_t>& timesteps() const;
  /// Standard deviation of the noise that the step from timestep t adds; 0 where it needs none.
  [[nodiscard]] double noise_std(std::uint32_t t) const;
  /// Step number i from x_t and the model's output at t = timesteps()[i]; all [N, C, H, W] float32. `noise` is read
  /// where noise_std(t) > 0; `memory` is empty before the first step and belongs to this chain of samples.
  [[nodiscard]] at::Tensor step(const at::Tensor& output, std::size_t i, const at::Tensor& x, const at::Tensor& noise,
                                at::Tensor& memory) const;

 private:
  std::variant<Ddim, Ddpm, DpmSolver> sampler_;
};

}  // namespace guda::worker
