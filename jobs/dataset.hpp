#pragma once
// Training data as every program sees it: pixels as bytes, labels, the train / held-out split, and a content hash.
#include <array>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "common/digest.hpp"
#include "jobs/experiment.hpp"

namespace guda::jobs {

struct Dataset {
  std::array<std::uint32_t, 3> shape{};  ///< channels, height, width of one image
  std::uint32_t levels = 256;            ///< grey levels per channel: byte b means x = 2 b/(levels-1) - 1
  std::vector<std::uint8_t> pixels;      ///< [item, channel, row, column]; empty where `files` are read when asked for
  std::vector<std::filesystem::path> files;  ///< [item] pictures (jobs/picture_dataset.hpp)
  bool stretch = false;                      ///< how those become squares
  Digest pictures;                           ///< of their names and bytes
  std::vector<std::uint32_t> labels;         ///< [item] class index
  std::vector<std::string> class_names;
  std::vector<std::string> captions;   ///< [item] (jobs/captions.hpp); empty: there are none
  std::vector<std::uint32_t> sources;  ///< [item] the picture it is a version of, where there are several
  std::vector<std::vector<std::string>> descriptors;  ///< [class] words that captions describe it with, where there are
  /// [item] values of the keys that groups can be made by, where there are.
  std::map<std::string, std::vector<std::vector<std::string>>> keys;
  std::vector<std::string> skipped;  ///< pictures that do not decode and were left out, each with the reason
  bool published = false;            ///< counts as published (published_dataset()): there is no picture
  std::vector<std::uint32_t> train;  ///< item indices in the order of the seeded permutation
  std::vector<std::uint32_t> held_out;
  Digest content;  ///< of shape, levels, pixels or files, labels, captions and split

  [[nodiscard]] std::size_t image_size() const { return std::size_t{shape[0]} * shape[1] * shape[2]; }
};

/// Reads and splits the data set; throws Error naming file, line and cure. Of pictures it reads what their digests are
/// made of, and not even that when nothing has changed since the last time (jobs/picture_facts.hpp).
[[nodiscard]] Dataset load_dataset(const DatasetConfig& config);

/// Kinds whose counts are known without their files, for a plan.
[[nodiscard]] bool has_published_counts(const std::string& kind);
/// What is known of them. It has no pixels, its labels are those of no images, and its content digest is that of no
/// real data. Throws Error on more training items than there are, and for other kinds.
[[nodiscard]] Dataset published_dataset(const DatasetConfig& config);

/// What the base of a text-to-image experiment is trained on: the same objects without a style, those of the training
/// split only, with captions without a style. Of styled_digits; Error for other kinds.
[[nodiscard]] Dataset load_base_dataset(const DatasetConfig& config);

}  // namespace guda::jobs
