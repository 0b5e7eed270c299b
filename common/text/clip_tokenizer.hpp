#pragma once
// CLIP's tokenizer: text -> token ids, identical to transformers' CLIPTokenizerFast (docs/formats.md lists where the
// slow CLIPTokenizer differs).
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "common/text/byte_pairs.hpp"

namespace guda::text {

/// Any thread after construction.
class ClipTokenizer {
 public:
  /// `place` is a tokenizer's folder as transformers saves it (vocab.json, merges.txt; special_tokens_map.json and
  /// tokenizer_config.json where they are there), or OpenAI's file bpe_simple_vocab_16e6.txt.gz. Throws Error naming
  /// file, key or line and the cure.
  explicit ClipTokenizer(const std::filesystem::path& place);

  /// Start token, tokens of the text, end token; of any length. The names of special tokens inside the text become
  /// these tokens. Throws Error where `text` is not well-formed UTF-8.
  [[nodiscard]] std::vector<TokenId> encode(std::string_view text) const;

  /// Exactly `length` tokens: the text's last ones are cut off (the end token stays), or padding follows.
  /// Throws Error when length < 2.
  [[nodiscard]] std::vector<TokenId> encode(std::string_view text, std::size_t length) const;

  /// model_max_length of tokenizer_config.json; 77 without.
  [[nodiscard]] std::size_t context_length() const noexcept { return context_length_; }
  [[nodiscard]] TokenId start() const noexcept { return start_; }
  [[nodiscard]] TokenId end() const noexcept { return end_; }
  [[nodiscard]] TokenId padding() const noexcept { return padding_; }

 private:
  struct Special {
    std::string name;
    TokenId id = 0;
    bool normalised = true;  ///< looked for in the normalised text, else in the text as given
  };
  struct Files;
  explicit ClipTokenizer(const Files& files);
  [[nodiscard]] const Special* special_at(std::string_view text, std::size_t at, bool normalised) const;
  template <class Rest>
  void split(std::string_view text, bool normalised, std::vector<TokenId>& out, const Rest& rest) const;

  std::vector<Special> specials_;
  TokenId start_ = 0, end_ = 0, padding_ = 0;
  std::size_t context_length_ = 77;
  BytePairs pairs_;
};

}  // namespace guda::text
