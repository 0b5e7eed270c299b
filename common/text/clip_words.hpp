#pragma once
// The first half of CLIP's tokenizer: Unicode text -> words, as the tokenizers library does it for CLIPTokenizerFast.
#include <string>
#include <string_view>
#include <vector>

namespace guda::text {

/// NFC, every run of white space as one blank, lower case by single characters (a final sigma stays one of the middle).
/// Throws Error naming the byte where `text` is not well-formed UTF-8. Any thread.
[[nodiscard]] std::string clip_normalised(std::string_view text);

/// Matches of 's|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+ from left to right; what lies between them is
/// white space and dropped. Views into `normalised`, which must be well-formed UTF-8.
[[nodiscard]] std::vector<std::string_view> clip_words(std::string_view normalised);

}  // namespace guda::text
