#pragma once
// Which rows of a batch are computed where: by a member of a gang, or at once.
#include <torch/torch.h>

#include <cstdint>
#include <span>
#include <vector>

namespace guda::worker {

/// Consecutive rows of a batch.
struct BatchShare {
  std::uint32_t first = 0, count = 0;
  [[nodiscard]] torch::Tensor of(const torch::Tensor& batch) const { return batch.narrow(0, first, count); }
  template <class T>
  [[nodiscard]] std::span<T> of(std::span<T> batch) const {
    return batch.subspan(first, count);
  }
};

/// The rows of member `rank` of `size`: equal shares, but for one row.
[[nodiscard]] BatchShare share_of(std::uint32_t batch, std::uint32_t rank, std::uint32_t size);

/// The rows in parts of at most `micro_batch` (0: one part), equal but for one row. What a training step computes at
/// once: gradients of the parts add up to those of the rows.
[[nodiscard]] std::vector<BatchShare> parts_of(const BatchShare& rows, std::uint32_t micro_batch);

}  // namespace guda::worker
