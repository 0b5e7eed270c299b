#pragma once
// Watches losses for NaN and Inf.
#include <torch/torch.h>

#include <cstdint>
#include <span>
#include <string>

namespace guda::worker {

/// Returns the value of the mean loss. When it is not finite throws DivergenceError naming the step and, from the
/// losses of the rows, the timestep and item of every bad row (at most eight).
/// per_row: float32 [rows]; timesteps, items: [rows].
double check_loss(const torch::Tensor& loss, const torch::Tensor& per_row, std::span<const std::uint32_t> timesteps,
                  std::span<const std::uint32_t> items, std::uint64_t step, const std::string& what);

}  // namespace guda::worker
