#include <doctest/doctest.h>

#include "common/config/yaml.hpp"

using namespace guda;
using namespace guda::config;

namespace {

Node parse(const std::string& text) {
  Issues issues;
  Node node = parse_yaml(text, "f.yaml", issues);
  issues.throw_if_any();
  return node;
}

std::string refusal(const std::string& text) {
  try {
    (void)parse(text);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "accepted";
}

}  // namespace

TEST_CASE("yaml: values know their line and column, counted from 1") {
  const Node root = parse("# words\na:\n  b: [1, 'x']\nc: {d: 2}\n");
  const Node& list = *root.find("a")->find("b");
  CHECK(list.items[1].at.line == 3);
  CHECK(list.items[1].at.column == 10);
  CHECK(list.items[1].quoted);
  CHECK_FALSE(list.items[0].quoted);
  CHECK(root.find("c")->find("d")->at.column == 8);
  CHECK(root.entries[1].key_at.line == 4);
  CHECK(*list.at.source == "f.yaml");
  CHECK(root.find("nothing") == nullptr);
}

TEST_CASE("yaml: null is what is empty, null or ~, and not what is quoted") {
  const Node root = parse("a:\nb: ~\nc: null\nd: 'null'\ne: ''\n");
  CHECK(root.find("a")->is_null());
  CHECK(root.find("b")->is_null());
  CHECK(root.find("c")->is_null());
  CHECK(root.find("d")->is_scalar());
  CHECK(root.find("e")->is_scalar());
}

TEST_CASE("yaml: an alias is a copy that stands where it is used") {
  const Node root = parse("a: &x {k: 1}\nb: *x\n");
  CHECK(root.find("b")->find("k")->text == "1");
  CHECK(root.find("b")->at.line == 2);
}

TEST_CASE("yaml: aliases count towards the limits of size and depth") {
  std::string text = "a: &a [" + std::string(2 * 999, ',') + "]\n";
  for (std::size_t i = 7; i < text.size() - 2; i += 2) text[i] = 'x';
  text += "b: [";
  for (int i = 0; i < 90; ++i) text += "*a, ";
  CHECK(refusal(text + "x]\n") == "accepted");
  for (int i = 0; i < 15; ++i) text += "*a, ";
  CHECK(refusal(text + "x]\n").find("more than 100000 values") != std::string::npos);
  const std::string half = std::string(40, '[') + std::string(40, ']');
  CHECK(refusal("a: &a " + half) == "accepted");
  CHECK(refusal("a: &a " + half + "\nb: " + std::string(40, '[') + "*a" + std::string(40, ']'))
            .find("nested deeper than 64") != std::string::npos);
}

TEST_CASE("yaml: exactly 64 levels are read") {
  CHECK(refusal(std::string(64, '[') + std::string(64, ']')) == "accepted");
  CHECK(refusal(std::string(65, '[') + std::string(65, ']')).find("nested deeper than 64") != std::string::npos);
}

TEST_CASE("yaml: duplicate keys are found at every depth and do not hide other faults") {
  Issues issues;
  const Node root = parse_yaml("a: 1\nb: {c: 1, c: 2}\na: 3\n", "f.yaml", issues);
  CHECK(issues.size() == 2);
  CHECK(issues.concern("b.c"));
  CHECK(root.find("a")->text == "1");
}

TEST_CASE("yaml: Windows line ends and a byte order mark are harmless") {
  const Node root = parse(
      "\xef\xbb\xbf"
      "a: 1\r\nb: x\r\n");
  CHECK(root.find("a")->text == "1");
  CHECK(root.find("b")->text == "x");
}

TEST_CASE("yaml: tabs hurt only as indentation") {
  CHECK(refusal("a: 1\t# comment\n\t\n\t# comment\n") == "accepted");
  CHECK(refusal("a:\n \tb: 1\n") == "f.yaml:2:2: a tab in the indentation; YAML wants spaces");
}

TEST_CASE("yaml: text that is not UTF-8 is refused by line") {
  CHECK(refusal("a: 1\nb: \xc3\x28\n") == "f.yaml:2:1: not UTF-8 text: save the file as UTF-8");
  CHECK(refusal(std::string("a: 1\0", 5)).find("not UTF-8") != std::string::npos);
  CHECK(refusal("a: \xed\xa0\x80").find("not UTF-8") != std::string::npos);
  CHECK(refusal("a: zwölf €\xf0\x9f\x99\x82") == "accepted");
}
