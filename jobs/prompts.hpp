#pragma once
// What queries of a text-to-image experiment are drawn from and scored under.
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "jobs/dataset.hpp"
#include "jobs/experiment.hpp"

namespace guda::jobs {

struct Prompt {
  std::string text;
  std::optional<std::uint32_t> style;  ///< class whose descriptors it has, where it is known
};

/// The objects that captions name, sorted.
[[nodiscard]] std::vector<std::string> caption_objects(const Dataset& dataset);

/// One prompt for each of `count` queries. generated: every (style, object) pair in turn, styles fastest, with three of
/// the style's descriptors drawn from the seed, in the form of a caption (a text encoder with random weights can't know
/// that two forms mean the same); or the set's own `prompts`, or the lines of its `prompt_file`, in turn. held_out,
/// training: the item's caption. images: the set's prompts. Throws Error where there are none, and naming file and line
/// of a prompt whose style has no images, or that has no style part where the data set's captions have one.
[[nodiscard]] std::vector<Prompt> query_prompts(const QuerySetConfig& set, const Dataset& dataset, std::uint32_t count,
                                                std::uint64_t seed);

/// Every caption that GUDA-C may ask the full model about in place of a forget image's: each object in each style with
/// any `descriptors` of its words in their order, and without a style. Sorted.
[[nodiscard]] std::vector<std::string> anchor_captions(const Dataset& dataset, const AnchorConfig& anchor);

/// Lines with every word of captions, prompts and anchors.
[[nodiscard]] std::vector<std::string> vocabulary_texts(const Dataset& dataset);

}  // namespace guda::jobs
