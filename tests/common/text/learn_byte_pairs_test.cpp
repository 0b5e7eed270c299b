#include "common/text/learn_byte_pairs.hpp"

#include <doctest/doctest.h>

#include "common/text/clip_tokenizer.hpp"
#include "tests/support/scratch_folder.hpp"

using namespace guda;
using namespace guda::text;

TEST_CASE("learnt byte pairs: every word of the texts is one token, other words are several, all different") {
  const std::vector<std::string> texts{"A depiction of Seven, artistic style featuring soft edges, stone",
                                       "tones, stones and a one"};
  const auto merges = learn_byte_pairs(texts);
  const test::ScratchFolder scratch;
  save_clip_tokenizer(merges, 16, scratch.path());
  const ClipTokenizer tokenizer(scratch.path());
  CHECK(tokenizer.context_length() == 16);
  // start, A depiction of seven , artistic style featuring soft edges , stone, end
  CHECK(tokenizer.encode(texts[0]).size() == 2 + 12);
  CHECK(tokenizer.encode(texts[1]).size() == 2 + 6);
  CHECK(tokenizer.encode("zebra").size() > 2 + 1);
  CHECK(tokenizer.encode("SEVEN") == tokenizer.encode("seven"));
  CHECK(tokenizer.encode("stone") != tokenizer.encode("stones"));
  CHECK(tokenizer.end() + 1 == static_cast<TokenId>(vocabulary_size(merges)));
  CHECK(tokenizer.encode("seven", 6).size() == 6);
  CHECK(tokenizer.encode("seven", 6).back() == tokenizer.end());
}

TEST_CASE("learnt byte pairs: equal texts give equal merges, the most frequent pair first; bytes of any text") {
  CHECK(learn_byte_pairs({"aab aab ab"}).front() == std::pair<std::string, std::string>{"a", "b</w>"});
  CHECK(learn_byte_pairs({"é è"}) == learn_byte_pairs({"é è"}));
  CHECK(learn_byte_pairs({}).empty());
}
