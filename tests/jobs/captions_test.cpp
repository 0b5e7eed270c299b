#include "jobs/captions.hpp"

#include <doctest/doctest.h>

#include <set>

#include "common/error.hpp"

using namespace guda;
using namespace guda::jobs;

TEST_CASE("captions: a caption is read back as it was written (methods.md 2.9.5)") {
  const Caption dogs{"Dogs", {"warm", "earthy", "mosaic"}};
  CHECK(training_caption(dogs) == "A depiction of Dogs, artistic style featuring warm, earthy, mosaic");
  CHECK(parse_caption(training_caption(dogs)) == dogs);
  CHECK(parse_caption("A depiction of Dogs") == Caption{"Dogs", {}});
}

TEST_CASE("captions: a caption without its style; a text without one stays (methods.md 2.9.3)") {
  CHECK(without_style("A depiction of Dogs, artistic style featuring warm, earthy") == "A depiction of Dogs");
  CHECK(without_style("A depiction of Dogs") == "A depiction of Dogs");
  CHECK(without_style("anything, really") == "anything, really");
}

TEST_CASE("captions: a text of another form is refused and quoted") {
  for (const char* text : {"Dogs", "A depiction of ", "", "An artwork of Dogs, with warm",
                           "A depiction of Dogs, artistic style featuring warm, , mosaic"}) {
    CAPTURE(text);
    CHECK_THROWS_WITH_AS((void)parse_caption(text), doctest::Contains("is not of the form"), Error);
  }
}

TEST_CASE(
    "captions: the style part of a prompt is read in the form of training and of evaluation, and missed elsewhere") {
  CHECK(styled_prompt("An artwork of Dogs, with warm, earthy, mosaic") ==
        Caption{"Dogs", {"warm", "earthy", "mosaic"}});
  CHECK(styled_prompt("A depiction of Dogs, artistic style featuring warm") == Caption{"Dogs", {"warm"}});
  for (const char* text :
       {"An artwork of Dogs", "A depiction of Dogs", "Dogs, with warm", "", "An artwork of Dogs, with warm, , odd"})
    CHECK_FALSE(styled_prompt(text).has_value());
}

TEST_CASE("captions: every subset of a style's words once, in the order of the list") {
  const std::vector<std::string> words{"a", "b", "c", "d", "e"};
  const auto subsets = descriptor_subsets(words, 3);
  CHECK(subsets.size() == 10);
  CHECK(subsets.front() == std::vector<std::string>{"a", "b", "c"});
  CHECK(subsets.back() == std::vector<std::string>{"c", "d", "e"});
  CHECK(std::set(subsets.begin(), subsets.end()).size() == 10);
  CHECK(descriptor_subsets(words, 9) == std::vector<std::vector<std::string>>{words});
}
