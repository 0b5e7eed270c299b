#include "common/text/byte_pairs.hpp"

#include <fmt/format.h>

#include <queue>
#include <tuple>

#include "common/error.hpp"

namespace guda::text {
namespace {

bool printable(unsigned byte) { return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE; }

std::string two_byte_utf8(unsigned code) {
  if (code < 0x80) return {static_cast<char>(code)};
  return {static_cast<char>(0xC0U | (code >> 6U)), static_cast<char>(0x80U | (code & 0x3FU))};
}

std::array<std::string, 256> make_byte_letters() {
  std::array<std::string, 256> letters;
  unsigned others = 0;
  for (unsigned byte = 0; byte < 256; ++byte) letters[byte] = two_byte_utf8(printable(byte) ? byte : 256 + others++);
  return letters;
}

}  // namespace

const std::array<std::string, 256>& byte_letters() {
  static const std::array<std::string, 256> letters = make_byte_letters();
  return letters;
}

std::array<unsigned char, 256> byte_order() {
  std::array<unsigned char, 256> order{};
  std::size_t next = 0;
  for (const bool wanted : {true, false}) {
    for (unsigned byte = 0; byte < 256; ++byte) {
      if (printable(byte) == wanted) order[next++] = static_cast<unsigned char>(byte);
    }
  }
  return order;
}

BytePairs::BytePairs(const Vocabulary& vocabulary, const Merges& merges, TokenId unknown) {
  const auto token = [&](const std::string& text) {
    const auto found = vocabulary.find(text);
    return found == vocabulary.end() ? unknown : found->second;
  };
  for (std::size_t byte = 0; byte < 256; ++byte) {
    inside_[byte] = token(byte_letters()[byte]);
    last_[byte] = token(byte_letters()[byte] + kWordEnd);
  }
  std::uint32_t rank = 0;
  for (const auto& [left, right] : merges) {
    for (const std::string& part : {left, right, left + right}) {
      if (!vocabulary.contains(part))
        throw Error(fmt::format("merge {} ('{}' '{}'): the vocabulary has no '{}'; take both files from one tokenizer",
                                rank + 1, left, right, part));
    }
    // The last of two equal merges counts, as in the tokenizers library.
    merges_[key(token(left), token(right))] = {.rank = rank++, .result = token(left + right)};
  }
}

void BytePairs::encode(std::string_view word, std::vector<TokenId>& out) const {
  if (word.empty()) return;
  struct Symbol {
    TokenId id;
    std::ptrdiff_t previous, next;  ///< neighbours that are left; -1: none
    bool alive;
  };
  const auto size = static_cast<std::ptrdiff_t>(word.size());
  std::vector<Symbol> symbols;
  symbols.reserve(word.size());
  for (std::ptrdiff_t i = 0; i < size; ++i) {
    const auto byte = static_cast<unsigned char>(word[static_cast<std::size_t>(i)]);
    symbols.push_back({i + 1 < size ? inside_[byte] : last_[byte], i - 1, i + 1 < size ? i + 1 : -1, true});
  }
  const auto at = [&](std::ptrdiff_t i) -> Symbol& { return symbols[static_cast<std::size_t>(i)]; };

  using Candidate = std::tuple<std::uint32_t, std::ptrdiff_t, TokenId>;  // rank, left symbol, result
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> candidates;
  const auto consider = [&](std::ptrdiff_t left) {
    if (left < 0 || at(left).next < 0) return;
    const auto found = merges_.find(key(at(left).id, at(at(left).next).id));
    if (found != merges_.end()) candidates.emplace(found->second.rank, left, found->second.result);
  };
  for (std::ptrdiff_t i = 0; i < size; ++i) consider(i);
  while (!candidates.empty()) {
    const auto [rank, left, result] = candidates.top();
    candidates.pop();
    if (!at(left).alive || at(left).next < 0) continue;
    const std::ptrdiff_t right = at(left).next;
    const auto current = merges_.find(key(at(left).id, at(right).id));
    if (current == merges_.end() || current->second.result != result) continue;  // overtaken by another merge
    at(right).alive = false;
    at(left).id = result;
    at(left).next = at(right).next;
    if (at(left).next >= 0) at(at(left).next).previous = left;
    consider(at(left).previous);
    consider(left);
  }
  for (std::ptrdiff_t i = 0; i >= 0; i = at(i).next) out.push_back(at(i).id);
}

}  // namespace guda::text
