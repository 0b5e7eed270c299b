#pragma once
// Data sets of JPEG and PNG files with captions. Pixels are decoded when they are asked for: 24,000 pictures of 512 x
// 512 are 19 GB.
#include <cstdint>
#include <vector>

#include "jobs/dataset.hpp"
#include "jobs/experiment.hpp"

namespace guda::jobs {

/// Everything but the split and the content of
///  unlearncanvas: STYLE/OBJECT/ID.jpg (or .jpeg, .png) below config.path, without Seed_Images, in the order of styles,
///   objects and IDs (numbers by value). A class is a style. Captions come from config.prompts, else three words of the
///   style's descriptors, in their order, are drawn for each picture from (split_seed, its name). Versions of a
///   picture, with one object and ID, share a source.
///  image_folder: the files that the lines of config.prompts name, in that order. A class is what `style` says, or all
///   pictures are of one; those with the same `source` are versions of one picture.
/// Names of styles and objects have spaces for underscores. Throws Error naming file, line and cure: no such folder, a
/// line that does not say what it must, a picture without a prompt or a prompt without a picture, a caption without a
/// style part where there are descriptors, a style without descriptors; pictures that do not decode, all counted and
/// the first ones named, where they are more than config.skip_bad.
[[nodiscard]] Dataset read_pictures(const DatasetConfig& config);

/// Pixels [channel, row, column] of one item of a data set of pictures; the file is read and decoded. Any thread.
/// Throws as decode_picture() (common/rgb_picture.hpp).
[[nodiscard]] std::vector<std::uint8_t> picture_pixels(const Dataset& dataset, std::uint32_t item);

/// What of UnlearnCanvas is known without its files: 60 styles x 20 objects x 20 pictures with captions of made-up
/// words. Not split.
[[nodiscard]] Dataset published_unlearncanvas(const DatasetConfig& config);

}  // namespace guda::jobs
