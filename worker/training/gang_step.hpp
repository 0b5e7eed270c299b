#pragma once
// What a gang adds to a training step: each member has its rows of the batch, and the gradients are added up.
#include <torch/torch.h>

#include <cstdint>
#include <span>
#include <vector>

#include "worker/collective/gang.hpp"
#include "worker/training/checkpoint_file.hpp"

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

/// Overwrites `state` (dense tensors on the CPU) with the root's and returns the root's step.
[[nodiscard]] std::uint64_t take_state_of_root(Gang& gang, const NamedTensors& state, std::uint64_t step);

/// Adds up the gradients of `parameters` (on the CPU) over the members.
class GradientSum {
 public:
  GradientSum(Gang& gang, std::vector<torch::Tensor> parameters);
  /// Every gradient becomes the sum over the members; returns the sum of the members' `loss`.
  [[nodiscard]] double add_up(double loss);

 private:
  Gang& gang_;
  std::vector<torch::Tensor> parameters_;
  torch::Tensor flat_;  // all gradients one behind the other, then the loss
};

}  // namespace guda::worker
