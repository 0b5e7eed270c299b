#pragma once
// Byte pair encoding (Sennrich et al. 2016) over bytes, as CLIP and GPT-2 use it: the second half of CLIP's tokenizer.
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace guda::text {

using TokenId = std::int32_t;

inline constexpr const char* kWordEnd = "</w>";  ///< after the last symbol of a word

/// The printable character, as UTF-8, that stands for each byte in vocabularies.
[[nodiscard]] const std::array<std::string, 256>& byte_letters();

/// A byte's position in the order in which CLIP's vocabulary lists bytes: printable ones first.
[[nodiscard]] std::array<unsigned char, 256> byte_order();

/// Any thread after construction.
class BytePairs {
 public:
  using Vocabulary = std::unordered_map<std::string, TokenId>;
  using Merges = std::vector<std::pair<std::string, std::string>>;

  /// Earlier merges go first. A word ends with "</w>". `unknown` stands for bytes that the vocabulary lacks. Throws
  /// Error naming a merge whose parts or result the vocabulary lacks.
  BytePairs(const Vocabulary& vocabulary, const Merges& merges, TokenId unknown);

  /// Appends the tokens of a word of any bytes. O(n log n).
  void encode(std::string_view word, std::vector<TokenId>& out) const;

 private:
  struct Merge {
    std::uint32_t rank = 0;
    TokenId result = 0;
  };
  [[nodiscard]] static std::uint64_t key(TokenId left, TokenId right) {
    return (static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32U) | static_cast<std::uint32_t>(right);
  }

  std::array<TokenId, 256> inside_{}, last_{};  ///< tokens of single bytes, within a word and at its end
  std::unordered_map<std::uint64_t, Merge> merges_;
};

}  // namespace guda::text
