#pragma once
// Training images as tensors.
#include <torch/torch.h>

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "jobs/dataset.hpp"

namespace guda::worker {

/// What each byte stands for: x = 2 b/(levels-1) - 1; 256 of them.
[[nodiscard]] std::vector<float> pixel_values(std::uint32_t levels);

/// Some of a row of images, so that not all need be in memory: [count, C, H, W] from number `first` on.
using ImagesAt = std::function<torch::Tensor(std::int64_t first, std::int64_t count)>;

/// Pictures of a folder are read and decoded, on as many threads as ATen uses. float32 [items, C, H, W] on the CPU, x =
/// 2 b/(levels-1) - 1. `flips` (empty or one per item) mirrors left and right.
[[nodiscard]] torch::Tensor gather_images(const jobs::Dataset& dataset, std::span<const std::uint32_t> items,
                                          const std::vector<bool>& flips = {});

}  // namespace guda::worker
