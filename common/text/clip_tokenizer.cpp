#include "common/text/clip_tokenizer.hpp"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "common/error.hpp"
#include "common/files.hpp"
#include "common/json.hpp"
#include "common/text/clip_vocabulary.hpp"
#include "common/text/clip_words.hpp"

namespace guda::text {
namespace {

namespace fs = std::filesystem;

/// CLIP's 49,408 tokens are bytes, bytes at the end of a word, these merges and two special ones; its files list more.
constexpr std::size_t kMostMerges = 49408 - 2 * 256 - 2;
constexpr std::size_t kLargestFile = 64U << 20U;  // unpacked

std::string unpacked(const fs::path& file) {
  const std::unique_ptr<gzFile_s, int (*)(gzFile)> in(gzopen(file.c_str(), "rb"), gzclose);
  if (!in) throw IoError(errno_text("cannot open", file, errno));
  std::string text, block(1U << 16U, '\0');
  for (int got = 1; got > 0;) {
    got = gzread(in.get(), block.data(), static_cast<unsigned>(block.size()));
    if (got < 0) throw Error(file.string() + ": is damaged (gzip); copy it again");
    text.append(block, 0, static_cast<std::size_t>(got));
    if (text.size() > kLargestFile) throw Error(file.string() + ": is no vocabulary (more than 64 MiB)");
  }
  return text;
}

/// "left right" a line below a first line that is a comment.
BytePairs::Merges merges_from(const std::string& text, const fs::path& file) {
  BytePairs::Merges merges;
  std::size_t at = text.find('\n');
  for (std::size_t line = 2; at != std::string::npos && at + 1 < text.size() && merges.size() < kMostMerges; ++line) {
    const std::size_t begin = at + 1;
    at = text.find('\n', begin);
    std::string row = text.substr(begin, at == std::string::npos ? at : at - begin);
    if (!row.empty() && row.back() == '\r') row.pop_back();
    if (row.empty() && text.find_first_not_of("\r\n", begin) == std::string::npos) break;  // blank lines at the end
    const std::size_t blank = row.find(' ');
    if (blank == 0 || blank == std::string::npos || row.find(' ', blank + 1) != std::string::npos ||
        blank + 1 == row.size())
      throw Error(fmt::format("{}:{}: wants two symbols and a blank between them, not '{}'", file.string(), line, row));
    merges.emplace_back(row.substr(0, blank), row.substr(blank + 1));
  }
  return merges;
}

Json json_object(const fs::path& file) {
  Json json = Json::parse(read_file(file), nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) throw Error(file.string() + ": is not a JSON object; save the tokenizer again");
  return json;
}

BytePairs::Vocabulary vocabulary_from(const fs::path& file) {
  BytePairs::Vocabulary vocabulary;
  const Json json = json_object(file);
  for (const auto& [token, id] : json.items()) {
    constexpr TokenId kMostTokens = 1 << 24;
    if (!id.is_number_integer() || id.get<std::int64_t>() < 0 || id.get<std::int64_t>() >= kMostTokens)
      throw Error(fmt::format("{}: '{}': {} is not a token's number", file.string(), token, id.dump()));
    vocabulary.emplace(token, id.get<TokenId>());
  }
  return vocabulary;
}

}  // namespace

struct ClipTokenizer::Files {
  struct Token {
    std::string name;
    bool normalised = true;
  };

  BytePairs::Vocabulary vocabulary;
  BytePairs::Merges merges;
  std::size_t context_length = 77;
  Token start{kStartOfText}, end{kEndOfText}, padding{kEndOfText}, unknown{kEndOfText};
  fs::path place;

  explicit Files(const fs::path& given) : place(given) {
    if (!fs::is_directory(place)) {
      merges = merges_from(unpacked(place), place);
      vocabulary = clip_vocabulary(merges);  // OpenAI's file lists merges only
      return;
    }
    vocabulary = vocabulary_from(place / "vocab.json");
    merges = merges_from(read_file(place / "merges.txt"), place / "merges.txt");
    const fs::path config = place / "tokenizer_config.json", map = place / "special_tokens_map.json";
    bool complete = false;
    if (fs::exists(config)) {
      const Json json = json_object(config);
      read_specials(json, config);
      complete = json.contains("added_tokens_decoder");
      if (complete) read_flags(json["added_tokens_decoder"]);
      const auto length = json.find("model_max_length");
      if (length != json.end() && length->is_number_integer()) {
        if (length->get<std::int64_t>() < 2)
          throw Error(fmt::format("{}: model_max_length: {} leaves no room", config.string(), length->dump()));
        context_length = length->get<std::size_t>();
      }
    }
    if (fs::exists(map) && !complete)
      read_specials(json_object(map), map);  // the older of two layouts: the map decides
  }

  void read_specials(const Json& json, const fs::path& file) {
    for (const auto& [key, token] : {std::pair{"bos_token", &start}, std::pair{"eos_token", &end},
                                     std::pair{"pad_token", &padding}, std::pair{"unk_token", &unknown}}) {
      const auto found = json.find(key);
      if (found == json.end() || found->is_null()) continue;
      const Json& name = found->is_object() ? found->value("content", Json()) : *found;
      if (!name.is_string() || name.get<std::string>().empty())
        throw Error(fmt::format("{}: {}: {} is not the name of a token", file.string(), key, found->dump()));
      token->name = name.get<std::string>();
      if (!found->is_object()) continue;
      token->normalised = found->value("normalized", true);
      for (const char* flag : {"lstrip", "rstrip", "single_word"}) {
        if (found->value(flag, false))
          throw Error(fmt::format("{}: {}.{}: only false is understood", file.string(), key, flag));
      }
    }
  }

  /// {"49406": {"content": ..., "normalized": ...}}
  void read_flags(const Json& decoder) {
    if (!decoder.is_object()) return;
    for (const auto& [id, entry] : decoder.items()) {
      if (!entry.is_object()) continue;
      for (Token* token : {&start, &end, &padding, &unknown}) {
        if (entry.value("content", "") == token->name) token->normalised = entry.value("normalized", true);
      }
    }
  }

  [[nodiscard]] TokenId id(const Token& token) const {
    const auto found = vocabulary.find(token.name);
    if (found == vocabulary.end())
      throw Error(fmt::format("{}: the vocabulary has no '{}'; take all files from one tokenizer of CLIP",
                              place.string(), token.name));
    return found->second;
  }
};

ClipTokenizer::ClipTokenizer(const fs::path& place) : ClipTokenizer(Files(place)) {}

ClipTokenizer::ClipTokenizer(const Files& files)
    : start_(files.id(files.start)),
      end_(files.id(files.end)),
      padding_(files.id(files.padding)),
      context_length_(files.context_length),
      pairs_(files.vocabulary, files.merges, files.id(files.unknown)) {
  for (const Files::Token* token : {&files.start, &files.end, &files.padding, &files.unknown}) {
    const std::string name = token->normalised ? clip_normalised(token->name) : token->name;
    const bool known =
        std::any_of(specials_.begin(), specials_.end(), [&](const Special& s) { return s.name == name; });
    if (!known) specials_.push_back({name, files.id(*token), token->normalised});
  }
}

const ClipTokenizer::Special* ClipTokenizer::special_at(std::string_view text, std::size_t at, bool normalised) const {
  const Special* longest = nullptr;
  for (const Special& special : specials_) {
    if (special.normalised == normalised && text.substr(at).starts_with(special.name) &&
        (longest == nullptr || special.name.size() > longest->name.size()))
      longest = &special;
  }
  return longest;
}

template <class Rest>
void ClipTokenizer::split(std::string_view text, bool normalised, std::vector<TokenId>& out, const Rest& rest) const {
  std::size_t begin = 0;
  for (std::size_t at = 0; at < text.size();) {
    const Special* special = special_at(text, at, normalised);
    if (special == nullptr) {
      ++at;
      continue;
    }
    rest(text.substr(begin, at - begin));
    out.push_back(special->id);
    begin = at += special->name.size();
  }
  rest(text.substr(begin));
}

std::vector<TokenId> ClipTokenizer::encode(std::string_view text) const {
  std::vector<TokenId> ids{start_};
  split(text, /*normalised=*/false, ids, [&](std::string_view raw) {
    const std::string normal = clip_normalised(raw);
    split(normal, /*normalised=*/true, ids, [&](std::string_view plain) {
      for (const std::string_view word : clip_words(plain)) pairs_.encode(word, ids);
    });
  });
  ids.push_back(end_);
  return ids;
}

std::vector<TokenId> ClipTokenizer::encode(std::string_view text, std::size_t length) const {
  if (length < 2) throw Error(fmt::format("a text of {} tokens has no room for start and end", length));
  std::vector<TokenId> ids = encode(text);
  if (ids.size() > length) {
    ids.resize(length);
    ids.back() = end_;
  }
  ids.resize(length, padding_);
  return ids;
}

}  // namespace guda::text
