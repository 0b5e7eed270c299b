#include "jobs/prompts.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>

#include "common/error.hpp"
#include "jobs/captions.hpp"

using namespace guda;
using namespace guda::jobs;

namespace {

const Dataset& styled() {
  static const Dataset data = [] {
    DatasetConfig config;
    config.kind = "styled_digits";
    config.train = 12000;
    return load_dataset(config);
  }();
  return data;
}

bool has_word(const std::vector<std::string>& words, const std::string& word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

}  // namespace

TEST_CASE("prompts: every style with every object, three of the style's words") {
  QuerySetConfig set;
  const auto prompts = query_prompts(set, styled(), 160, 0);
  std::map<std::pair<std::string, std::uint32_t>, int> pairs;
  for (const Prompt& prompt : prompts) {
    const Caption caption = parse_caption(prompt.text);
    ++pairs[{caption.object, prompt.style.value()}];
    CHECK(caption.descriptors.size() == 3);
    for (const std::string& word : caption.descriptors) CHECK(has_word(styled().descriptors[*prompt.style], word));
  }
  CHECK(pairs.size() == 80);
  for (const auto& [pair, times] : pairs) CHECK(times == 2);
}

TEST_CASE("prompts: the first ones do not depend on how many there are; another run seed has other words") {
  QuerySetConfig set;
  const auto few = query_prompts(set, styled(), 8, 0), many = query_prompts(set, styled(), 80, 0);
  for (std::size_t i = 0; i < few.size(); ++i) CHECK(few[i].text == many[i].text);
  const auto other = query_prompts(set, styled(), 8, 1);
  CHECK(
      std::any_of(other.begin(), other.end(), [&](const Prompt& p) { return p.text != few[&p - other.data()].text; }));
}

TEST_CASE("prompts: real queries have their own captions, image files those that the set lists") {
  QuerySetConfig set;
  set.kind = "held_out";
  set.first = 3;
  const auto real = query_prompts(set, styled(), 5, 0);
  CHECK(real[0].text == styled().captions[styled().held_out[3]]);
  CHECK(real[0].style == styled().labels[styled().held_out[3]]);
  set.kind = "images";
  CHECK_THROWS_WITH_AS((void)query_prompts(set, styled(), 1, 0), doctest::Contains("the prompt of every image"), Error);
  set.prompts = {"An artwork of Seven, with soft edges"};
  CHECK(query_prompts(set, styled(), 1, 0)[0].text == set.prompts[0]);
  CHECK_FALSE(query_prompts(set, styled(), 1, 0)[0].style);
}

TEST_CASE("prompts: anchors are every object in every style, or every object without one") {
  CHECK(anchor_captions(styled(), {}).size() == 10 * 8 * 10);
  AnchorConfig removed{.mode = "style_removed"};
  CHECK(anchor_captions(styled(), removed).size() == 10);
  CHECK(has_word(anchor_captions(styled(), removed), "A depiction of Seven"));
  CHECK(anchor_captions(styled(), {.mode = "matched_retain"}).empty());
}
