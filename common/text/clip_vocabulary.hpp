#pragma once
// The vocabulary that a list of merges stands for, in the order of CLIP's own.
#include "common/text/byte_pairs.hpp"

namespace guda::text {

inline constexpr const char* kStartOfText = "<|startoftext|>";
inline constexpr const char* kEndOfText = "<|endoftext|>";

/// Bytes, bytes at the end of a word, the merges, start, end: each has the number of its place. A token that two pairs
/// of symbols make has the number of the first.
[[nodiscard]] BytePairs::Vocabulary clip_vocabulary(const BytePairs::Merges& merges);

}  // namespace guda::text
