#pragma once
// The grammar of captions (methods.md 2.1): an object, and words that describe a style without naming it.
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace guda::jobs {

struct Caption {
  std::string object;                    ///< "Dogs"
  std::vector<std::string> descriptors;  ///< "warm", "earthy", "mosaic"; empty: without a style
  bool operator==(const Caption&) const = default;
};

/// "A depiction of Dogs, artistic style featuring warm, earthy, mosaic"; without a style "A depiction of Dogs".
[[nodiscard]] std::string training_caption(const Caption& caption);

/// Throws Error quoting a text of another form.
[[nodiscard]] Caption parse_caption(std::string_view text);

/// A training caption, or an evaluation prompt ("An artwork of Dogs, with warm, earthy, mosaic"); nothing where the
/// text has no style part of either form.
[[nodiscard]] std::optional<Caption> styled_prompt(std::string_view text);

/// A training caption without its style; any other text as it is.
[[nodiscard]] std::string without_style(std::string_view caption);

/// The subsets of `size` of a style's descriptors, each in the order of the list, in lexicographic order.
[[nodiscard]] std::vector<std::vector<std::string>> descriptor_subsets(const std::vector<std::string>& descriptors,
                                                                       std::size_t size);

}  // namespace guda::jobs
