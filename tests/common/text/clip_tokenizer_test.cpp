#include "common/text/clip_tokenizer.hpp"

#include <doctest/doctest.h>

#include <fstream>

#include "common/error.hpp"
#include "common/files.hpp"
#include "common/json.hpp"
#include "common/text/clip_words.hpp"
#include "tests/support/scratch_folder.hpp"

namespace guda::text {
namespace {

const std::filesystem::path kGolden = GUDA_SOURCE_DIR "/tests/golden/clip_tokenizer";

/// A copy of the golden tokenizer's folder with one file replaced.
std::filesystem::path tokenizer_with(const test::ScratchFolder& scratch, const char* file, const std::string& content) {
  const std::filesystem::path folder = scratch.path() / "tokenizer";
  std::filesystem::create_directories(folder);
  for (const char* name : {"vocab.json", "merges.txt", "tokenizer_config.json"})
    std::filesystem::copy_file(kGolden / name, folder / name, std::filesystem::copy_options::overwrite_existing);
  std::ofstream(folder / file) << content;
  return folder;
}

}  // namespace

TEST_CASE("the CLIP tokenizer gives the ids that CLIPTokenizerFast gave") {
  const ClipTokenizer tokenizer(kGolden);
  const Json expected = Json::parse(read_file(kGolden / "expected.json"));
  REQUIRE(expected["texts"].size() == 400);
  for (std::size_t i = 0; i < expected["texts"].size(); ++i) {
    CAPTURE(expected["texts"][i].dump());
    CHECK(tokenizer.encode(expected["texts"][i].get<std::string>()) == expected["ids"][i].get<std::vector<TokenId>>());
  }
  for (std::size_t i = 0; i < expected["padded"].size(); ++i) {
    CAPTURE(expected["texts"][i].dump());
    const std::vector<TokenId> ids =
        tokenizer.encode(expected["texts"][i].get<std::string>(), tokenizer.context_length());
    CHECK(ids == expected["padded"][i].get<std::vector<TokenId>>());
  }
}

TEST_CASE("a text longer than the context keeps its beginning and the end token") {
  const ClipTokenizer tokenizer(kGolden);
  std::string text;
  for (int i = 0; i < 100; ++i) text += "7 ";
  const std::vector<TokenId> whole = tokenizer.encode(text), cut = tokenizer.encode(text, 20);
  CHECK(whole.size() == 102);
  CHECK(cut.size() == 20);
  CHECK(cut.front() == tokenizer.start());
  CHECK(cut.back() == tokenizer.end());
  CHECK(std::equal(cut.begin(), cut.end() - 1, whole.begin()));
  CHECK_THROWS_AS((void)tokenizer.encode("a", 1), Error);
}

TEST_CASE("words are composed, in lower case and cut as CLIP's regular expression cuts them") {
  CHECK(clip_normalised("Cafe\u0301 \t\n\u00a0\u3000 B") == "caf\u00e9 b");
  CHECK(clip_normalised("\u0130 \u03a3") == "i\u0307 \u03c3");
  CHECK(clip_words("they'll see ''s 42!? \u00e9\u4f60 \u0301") ==
        std::vector<std::string_view>{"they", "'ll", "see", "''", "s", "4", "2", "!?", "\u00e9\u4f60", "\u0301"});
  CHECK(clip_words("   ").empty());
}

TEST_CASE("text that is not UTF-8 is refused with the byte") {
  CHECK_THROWS_WITH((void)clip_normalised("ab\xff"), doctest::Contains("byte 2"));
  CHECK_THROWS_WITH((void)clip_normalised("a\xed\xa0\x80"), doctest::Contains("byte 1"));
  CHECK(clip_normalised(std::string_view("a\0B", 3)) == std::string_view("a\0b", 3));
}

TEST_CASE("special tokens are found in the text, and read from the newer and the older files of transformers") {
  const ClipTokenizer plain(kGolden);
  CHECK(plain.padding() == 0);  // "!" of tokenizer_config.json, as Stable Diffusion 2 has it
  CHECK(plain.encode("a<|EndOfText|>b")[2] == plain.end());
  const test::ScratchFolder scratch;
  const auto older = tokenizer_with(scratch, "special_tokens_map.json",
                                    R"({"pad_token": {"content": "<|endoftext|>", "normalized": false}})");
  const ClipTokenizer other(older);
  CHECK(other.padding() == other.end());
  CHECK(other.encode("", 4) == std::vector<TokenId>{other.start(), other.end(), other.end(), other.end()});
}

TEST_CASE("files of a tokenizer that do not belong together are refused by name") {
  const test::ScratchFolder scratch;
  CHECK_THROWS_WITH((void)ClipTokenizer(tokenizer_with(scratch, "merges.txt", "#version\nq zz\n")),
                    doctest::Contains("the vocabulary has no 'zz'"));
  CHECK_THROWS_WITH((void)ClipTokenizer(tokenizer_with(scratch, "merges.txt", "#version\na b c\n")),
                    doctest::Contains("merges.txt:2"));
  CHECK_THROWS_WITH((void)ClipTokenizer(tokenizer_with(scratch, "vocab.json", "[]")), doctest::Contains("vocab.json"));
  CHECK_THROWS_WITH((void)ClipTokenizer(tokenizer_with(scratch, "vocab.json", R"({"a": -1})")),
                    doctest::Contains("'a'"));
  CHECK_THROWS_WITH((void)ClipTokenizer(tokenizer_with(scratch, "tokenizer_config.json", R"({"bos_token": "<s>"})")),
                    doctest::Contains("'<s>'"));
  CHECK_THROWS_WITH((void)ClipTokenizer(scratch.path() / "nothing"), doctest::Contains("nothing"));
}

}  // namespace guda::text
