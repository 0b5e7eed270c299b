#include "common/text/clip_words.hpp"

#include <fmt/format.h>
#include <utf8proc.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <memory>

#include "common/error.hpp"

namespace guda::text {
namespace {

enum class CharacterClass { space, letter, number, other };

struct Character {
  utf8proc_int32_t code = 0;
  std::size_t length = 0;  ///< bytes
};

/// The character at `at`; throws Error where there is none.
Character character_at(std::string_view text, std::size_t at) {
  Character c;
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data()) + at;
  const utf8proc_ssize_t length = utf8proc_iterate(bytes, static_cast<utf8proc_ssize_t>(text.size() - at), &c.code);
  if (length <= 0) throw Error(fmt::format("text is not well-formed UTF-8 at byte {}; save it as UTF-8", at));
  c.length = static_cast<std::size_t>(length);
  return c;
}

/// Unicode's White_Space: its control characters are in no category of spaces.
bool is_space(utf8proc_int32_t code, utf8proc_category_t category) {
  return (code >= 0x09 && code <= 0x0D) || code == 0x85 || category == UTF8PROC_CATEGORY_ZS ||
         category == UTF8PROC_CATEGORY_ZL || category == UTF8PROC_CATEGORY_ZP;
}

CharacterClass class_of(utf8proc_int32_t code) {
  const utf8proc_category_t category = utf8proc_category(code);
  if (is_space(code, category)) return CharacterClass::space;
  switch (category) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
      return CharacterClass::letter;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
      return CharacterClass::number;
    default:
      return CharacterClass::other;
  }
}

std::string composed(std::string_view text) {
  utf8proc_uint8_t* raw = nullptr;
  const utf8proc_ssize_t length =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()), static_cast<utf8proc_ssize_t>(text.size()),
                   &raw, static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  const std::unique_ptr<utf8proc_uint8_t, void (*)(void*)> owner(raw, std::free);
  if (length < 0) throw Error(std::string("text cannot be normalised: ") + utf8proc_errmsg(length));
  return {reinterpret_cast<const char*>(raw), static_cast<std::size_t>(length)};
}

void append(std::string& out, utf8proc_int32_t code) {
  std::array<utf8proc_uint8_t, 4> bytes{};
  const utf8proc_ssize_t length = utf8proc_encode_char(code, bytes.data());
  out.append(reinterpret_cast<const char*>(bytes.data()), static_cast<std::size_t>(length));
}

/// Bytes of the contraction at the front of `text`, 0 if there is none.
std::size_t contraction(std::string_view text) {
  for (const std::string_view ending : {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"}) {
    if (text.starts_with(ending)) return ending.size();
  }
  return 0;
}

}  // namespace

std::string clip_normalised(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) at += character_at(text, at).length;  // names the first bad byte
  const std::string nfc = composed(text);
  std::string out;
  out.reserve(nfc.size());
  bool in_space = false;
  for (std::size_t at = 0; at < nfc.size();) {
    const Character c = character_at(nfc, at);
    at += c.length;
    const bool space = class_of(c.code) == CharacterClass::space;
    if (!space) {
      append(out, utf8proc_tolower(c.code));
      // The one character whose lower case is two: utf8proc has only mappings to one.
      if (c.code == 0x130) append(out, 0x307);
    } else if (!in_space) {
      out += ' ';
    }
    in_space = space;
  }
  return out;
}

std::vector<std::string_view> clip_words(std::string_view normalised) {
  std::vector<std::string_view> words;
  for (std::size_t at = 0; at < normalised.size();) {
    const Character first = character_at(normalised, at);
    const CharacterClass kind = class_of(first.code);
    std::size_t end = at + first.length;
    if (const std::size_t length = contraction(normalised.substr(at)); length > 0) {
      end = at + length;
    } else if (kind != CharacterClass::number) {
      while (end < normalised.size()) {
        const Character next = character_at(normalised, end);
        if (class_of(next.code) != kind) break;
        end += next.length;
      }
    }
    if (kind != CharacterClass::space) words.push_back(normalised.substr(at, end - at));
    at = end;
  }
  return words;
}

}  // namespace guda::text
