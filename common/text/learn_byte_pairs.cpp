#include "common/text/learn_byte_pairs.hpp"

#include <map>
#include <utility>

#include "common/files.hpp"
#include "common/json.hpp"
#include "common/text/clip_vocabulary.hpp"
#include "common/text/clip_words.hpp"

namespace guda::text {
namespace {

struct Word {
  std::vector<std::string> symbols;
  std::size_t count = 0;
};

std::vector<Word> words_of(const std::vector<std::string>& texts) {
  std::map<std::string, std::size_t> counts;
  for (const std::string& text : texts) {
    const std::string normal = clip_normalised(text);
    for (const std::string_view word : clip_words(normal)) ++counts[std::string(word)];
  }
  std::vector<Word> words;
  for (const auto& [letters, count] : counts) {
    Word& word = words.emplace_back();
    word.count = count;
    for (const char letter : letters) word.symbols.push_back(byte_letters()[static_cast<unsigned char>(letter)]);
    word.symbols.back() += kWordEnd;
  }
  return words;
}

void merge(Word& word, const std::pair<std::string, std::string>& pair) {
  std::vector<std::string> merged;
  for (std::size_t i = 0; i < word.symbols.size(); ++i) {
    const bool here =
        i + 1 < word.symbols.size() && word.symbols[i] == pair.first && word.symbols[i + 1] == pair.second;
    merged.push_back(here ? pair.first + pair.second : word.symbols[i]);
    if (here) ++i;
  }
  word.symbols = std::move(merged);
}

}  // namespace

BytePairs::Merges learn_byte_pairs(const std::vector<std::string>& texts) {
  std::vector<Word> words = words_of(texts);
  BytePairs::Merges merges;
  while (true) {
    std::map<std::pair<std::string, std::string>, std::size_t> pairs;
    for (const Word& word : words) {
      for (std::size_t i = 0; i + 1 < word.symbols.size(); ++i)
        pairs[{word.symbols[i], word.symbols[i + 1]}] += word.count;
    }
    if (pairs.empty()) return merges;
    auto most = pairs.begin();
    for (auto pair = pairs.begin(); pair != pairs.end(); ++pair) {
      if (pair->second > most->second) most = pair;
    }
    merges.push_back(most->first);
    for (Word& word : words) merge(word, merges.back());
  }
}

std::size_t vocabulary_size(const BytePairs::Merges& merges) { return clip_vocabulary(merges).size(); }

void save_clip_tokenizer(const BytePairs::Merges& merges, std::size_t context_length,
                         const std::filesystem::path& folder) {
  Json vocabulary = Json::object();
  for (const auto& [token, id] : clip_vocabulary(merges)) vocabulary[token] = id;
  std::string lines = "#version: 0.2\n";
  for (const auto& [left, right] : merges) lines += left + " " + right + "\n";
  const Json config{{"tokenizer_class", "CLIPTokenizer"},
                    {"model_max_length", context_length},
                    {"do_lower_case", true},
                    {"add_prefix_space", false},
                    {"errors", "replace"},
                    {"bos_token", kStartOfText},
                    {"eos_token", kEndOfText},
                    {"unk_token", kEndOfText},
                    {"pad_token", kEndOfText}};
  replace_file(folder / "vocab.json", vocabulary.dump() + "\n", false);
  replace_file(folder / "merges.txt", lines, false);
  replace_file(folder / "tokenizer_config.json", config.dump(1) + "\n", false);
}

}  // namespace guda::text
