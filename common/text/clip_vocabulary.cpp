#include "common/text/clip_vocabulary.hpp"

namespace guda::text {

BytePairs::Vocabulary clip_vocabulary(const BytePairs::Merges& merges) {
  BytePairs::Vocabulary vocabulary;
  const auto add = [&](const std::string& token) {
    vocabulary.emplace(token, static_cast<TokenId>(vocabulary.size()));
  };
  for (const char* end : {"", kWordEnd}) {
    for (const unsigned char byte : byte_order()) add(byte_letters()[byte] + end);
  }
  for (const auto& [left, right] : merges) add(left + right);
  add(kStartOfText);
  add(kEndOfText);
  return vocabulary;
}

}  // namespace guda::text
