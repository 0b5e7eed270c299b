#pragma once
// The random streams of a training or unlearning run, as pure functions of (seed, position). They do not depend on what
// is removed: the full model and every counterfactual see the same images, timesteps and noise wherever they can, so
// that their difference is the effect of the removal and not of another draw.
#include <torch/torch.h>

#include <cstdint>
#include <span>
#include <vector>

#include "common/digest.hpp"

namespace guda::worker {

/// An endless sequence of training items: one seeded permutation of `items` after the other; an excluded item is
/// replaced by a retained one drawn from a second stream. Not thread-safe (keeps the current permutation).
class ItemStream {
 public:
  /// `excluded` sorted. Throws Error when nothing is left to draw.
  ItemStream(const SeedPath& seed, std::vector<std::uint32_t> items, std::span<const std::uint32_t> excluded = {});
  /// The item at a position; any position at any time, cheapest in ascending order.
  [[nodiscard]] std::uint32_t item(std::uint64_t position);
  /// Items of batch number `step`.
  [[nodiscard]] std::vector<std::uint32_t> batch(std::uint64_t step, std::uint32_t size);

 private:
  std::vector<std::uint32_t> items_;
  std::vector<char> excluded_;  ///< by index into items_
  std::uint64_t order_seed_, replacement_seed_;
  std::uint64_t epoch_ = ~std::uint64_t{0};
  std::vector<std::uint32_t> order_;
};

/// [rows]: timesteps of batch number `step`. Stratified: row i is uniform in the i-th of `rows` equal parts of
/// 0..timesteps-1, so a batch covers the axis and every row's timestep is still uniform over a random image.
[[nodiscard]] std::vector<std::uint32_t> draw_timesteps(const SeedPath& seed, std::uint64_t step, std::uint32_t rows,
                                                        std::uint32_t timesteps, bool stratified);

/// int64 [timesteps] on the CPU, as models take them.
[[nodiscard]] torch::Tensor to_tensor(std::span<const std::uint32_t> timesteps);

/// float32 [rows, C, H, W] standard normal noise of batch number `step`, the same bits on every device.
[[nodiscard]] torch::Tensor draw_noise(const SeedPath& seed, std::uint64_t step, at::IntArrayRef shape,
                                       torch::Device device = torch::kCPU);

/// Which rows of batch number `step` are mirrored: one fair coin each.
[[nodiscard]] std::vector<bool> draw_flips(const SeedPath& seed, std::uint64_t step, std::uint32_t rows);

}  // namespace guda::worker
