#pragma once
// Pictures that people bring: a PNG or .npy file as one query of a data set.
#include <filesystem>
#include <vector>

#include "jobs/dataset.hpp"

namespace guda::jobs {

/// Pixels [channel, row, column] in [-1, 1] of a PNG (8 bits, no transparency) or .npy file (uint8, or float32 within
/// [-1, 1]) of the data set's own size. Throws Error naming the file, what it is and what it should be; IoError when it
/// can't be read. Never resizes, but where the data set is of pictures: those (JPEG too) are brought to its size as its
/// own were. Grey levels are not rounded to those of the data set.
[[nodiscard]] std::vector<float> read_query_image(const std::filesystem::path& file, const Dataset& dataset);

}  // namespace guda::jobs
