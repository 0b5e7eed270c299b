#pragma once
// CIFAR-10 in its binary layout (Krizhevsky 2009): records of one label byte and 3 x 32 x 32 pixels, channel by
// channel.
#include <filesystem>

#include "jobs/dataset.hpp"

namespace guda::jobs {

/// Images of data_batch_*.bin, in the order of their numbers, then of test_batch.bin where there is one; class names
/// from batches.meta.txt. `side` < 32 averages squares of pixels, rounding halves up; 0 = as stored. Fills everything
/// but the split and the content; `training_items` is how many come from the data batches.
/// Throws Error naming file, record and cure for what is no such folder: a truncated or over-long file, a label without
/// a name, a side that does not divide 32.
[[nodiscard]] Dataset read_cifar10(const std::filesystem::path& folder, std::uint32_t side,
                                   std::uint32_t& training_items);

/// What of CIFAR-10 is known without its files, for a plan: shape, the ten names, as many of `config.train` training
/// items of every class, the 10,000 held-out ones. It has no pixels, its labels are those of no images, and its content
/// digest is that of no real data. Throws Error on more training items than there are.
[[nodiscard]] Dataset published_cifar10(const DatasetConfig& config);

}  // namespace guda::jobs
