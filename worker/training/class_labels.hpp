#pragma once
// Classes as a class-conditional model takes them: one-hot rows one longer than the classes, the last entry "no class".
#include <torch/torch.h>

#include <cstdint>
#include <span>

#include "common/digest.hpp"
#include "jobs/dataset.hpp"

namespace guda::worker {

/// float32 [items, classes + 1] on the CPU: each item's class in the data set, whatever its group.
[[nodiscard]] torch::Tensor class_rows(const jobs::Dataset& dataset, std::span<const std::uint32_t> items);

/// The same shape, "no class" everywhere.
[[nodiscard]] torch::Tensor no_class_rows(const jobs::Dataset& dataset, std::size_t rows);

/// class_rows, each withheld with probability `dropout`: a function of the seed, the step and the row.
[[nodiscard]] torch::Tensor dropped_class_rows(const jobs::Dataset& dataset, std::span<const std::uint32_t> items,
                                               const SeedPath& seed, std::uint64_t step, double dropout);

}  // namespace guda::worker
