#include "common/html_escape.hpp"

#include <doctest/doctest.h>

using guda::escape_html;
using guda::Json;
using guda::script_json;

TEST_CASE("escape_html: markup and both quotes lose their meaning") {
  CHECK(escape_html("<b a=\"1\" c='2'>&amp;") == "&lt;b a=&quot;1&quot; c=&#39;2&#39;&gt;&amp;amp;");
}

TEST_CASE("escape_html: well-formed UTF-8 stays") {
  CHECK(escape_html("Ünïcode \u2212 \U0001F600\tx\n") == "Ünïcode \u2212 \U0001F600\tx\n");
}

TEST_CASE("escape_html: bytes that are not UTF-8 and control characters become U+FFFD") {
  const std::string bad = "\xEF\xBF\xBD";
  CHECK(escape_html("a\x80z") == "a" + bad + "z");
  CHECK(escape_html(std::string("a\0z", 3)) == "a" + bad + "z");
  CHECK(escape_html("\x1B[31m") == bad + "[31m");
  CHECK(escape_html("\xC0\xAF") == bad + bad);            // overlong '/'
  CHECK(escape_html("\xED\xA0\x80") == bad + bad + bad);  // a surrogate
  CHECK(escape_html("\xE2\x82") == bad + bad);            // cut off
  CHECK(escape_html("\xEF\xBF\xBF") == bad + bad + bad);  // U+FFFF is not an XML character
}

TEST_CASE("script_json: cannot leave its script element, and reads back equal") {
  const Json hostile = {{"name", "</script><!--<script>alert(1)"}, {"amp", "&lt;"}, {"line", "\u2028"}};
  const std::string text = script_json(hostile);
  CHECK(text.find_first_of("<>&") == std::string::npos);
  CHECK(text.find('\xE2') == std::string::npos);
  CHECK(Json::parse(text) == hostile);
}

TEST_CASE("script_json: a string that is not UTF-8 does not throw") {
  CHECK(Json::parse(script_json(Json{{"name", "a\xFFz"}})).at("name") == "a\uFFFDz");
}
