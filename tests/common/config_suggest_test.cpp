#include <doctest/doctest.h>

#include "common/config/suggest.hpp"

using namespace guda::config;

TEST_CASE("suggestions: distance counts inserted, deleted, replaced and swapped letters, whatever their case") {
  CHECK(edit_distance("steps", "steps") == 0);
  CHECK(edit_distance("stpes", "steps") == 1);
  CHECK(edit_distance("step", "steps") == 1);
  CHECK(edit_distance("Steps", "stepz") == 1);
  CHECK(edit_distance("", "abc") == 3);
}

TEST_CASE("suggestions: the nearest word is offered, and nothing when none is near") {
  const std::vector<std::string> words = {"steps", "batch", "lr", "warmup_steps"};
  CHECK(did_you_mean("stpes", words) == "; did you mean 'steps'?");
  CHECK(did_you_mean("warm_up_steps", words) == "; did you mean 'warmup_steps'?");
  CHECK(did_you_mean("lrr", words) == "; did you mean 'lr'?");
  CHECK(did_you_mean("optimizer", words).empty());
  CHECK(did_you_mean("x", {}).empty());
}

TEST_CASE("suggestions: words are listed as people do") {
  CHECK(or_list({"a"}) == "a");
  CHECK(or_list({"a", "b"}) == "a or b");
  CHECK(or_list({"a", "b", "c"}) == "a, b or c");
  CHECK(split("a|b||c", '|') == std::vector<std::string>{"a", "b", "", "c"});
}
