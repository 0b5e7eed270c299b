#pragma once
// Training images as tensors.
#include <torch/torch.h>

#include <cstdint>
#include <span>
#include <vector>

#include "jobs/dataset.hpp"

namespace guda::worker {

/// float32 [items, C, H, W] on the CPU, x = 2 b/(levels-1) - 1. `flips` (empty or one per item) mirrors left and right.
[[nodiscard]] torch::Tensor gather_images(const jobs::Dataset& dataset, std::span<const std::uint32_t> items,
                                          const std::vector<bool>& flips = {});

}  // namespace guda::worker
