#include "worker/training/loss_guard.hpp"

#include <fmt/format.h>

#include <cmath>

#include "common/error.hpp"

namespace guda::worker {

double check_loss(const torch::Tensor& loss, const torch::Tensor& per_row, std::span<const std::uint32_t> timesteps,
                  std::span<const std::uint32_t> items, std::uint64_t step, const std::string& what) {
  const double value = loss.item<double>();
  if (std::isfinite(value)) return value;
  constexpr int kShown = 8;
  const torch::Tensor rows = per_row.detach().to(torch::kCPU, torch::kFloat64).contiguous();
  std::string bad;
  int found = 0;
  for (std::int64_t row = 0; row < rows.numel(); ++row) {
    const double row_loss = rows.data_ptr<double>()[row];
    if (std::isfinite(row_loss) || ++found > kShown) continue;
    bad += fmt::format("{}item {} at t={}", bad.empty() ? "" : ", ", items[static_cast<std::size_t>(row)],
                       timesteps[static_cast<std::size_t>(row)]);
  }
  throw DivergenceError(
      fmt::format("the loss is {} at step {} of {} ({} bad rows: {}); lower the learning rate, clip the "
                  "gradient or lengthen the warm-up",
                  value, step, what, found, bad));
}

}  // namespace guda::worker
