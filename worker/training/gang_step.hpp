#pragma once
// What a gang adds to a training step: the gradients of its members, each of which has its rows, are added up.
#include <torch/torch.h>

#include <cstdint>
#include <vector>

#include "worker/collective/gang.hpp"
#include "worker/training/checkpoint_file.hpp"

namespace guda::worker {

/// Overwrites `state` (dense tensors, anywhere) with the root's and returns the root's step.
[[nodiscard]] std::uint64_t take_state_of_root(Gang& gang, const NamedTensors& state, std::uint64_t step);

/// Adds up the gradients of `parameters`, all on one device, over the members.
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
