#pragma once
// A tokenizer of CLIP's kind for a few texts of one's own: byte pairs learned from their words (Sennrich et al. 2016).
#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "common/text/byte_pairs.hpp"

namespace guda::text {

/// The most frequent pair of symbols becomes one, again and again, until every word of the texts is a single token;
/// equally frequent ones in the order of their bytes. Meant for some thousand different words at most.
[[nodiscard]] BytePairs::Merges learn_byte_pairs(const std::vector<std::string>& texts);

/// Tokens of such a tokenizer: bytes, bytes at the end of a word, merges, start, end.
[[nodiscard]] std::size_t vocabulary_size(const BytePairs::Merges& merges);

/// Writes vocab.json, merges.txt and tokenizer_config.json into a folder; ClipTokenizer and transformers'
/// CLIPTokenizer read it. `context_length`: tokens of a text with start and end.
void save_clip_tokenizer(const BytePairs::Merges& merges, std::size_t context_length,
                         const std::filesystem::path& folder);

}  // namespace guda::text
