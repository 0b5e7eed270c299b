#include "jobs/groups.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>

#include "common/error.hpp"
#include "common/files.hpp"
#include "tests/support/scratch_folder.hpp"

using namespace guda;
using namespace guda::jobs;

namespace {

/// Ten items, two classes; items 8 and 9 are held out.
Dataset small_dataset() {
  Dataset data;
  data.shape = {1, 1, 1};
  data.pixels.assign(10, 0);
  data.labels = {0, 1, 0, 1, 0, 1, 0, 1, 0, 1};
  data.class_names = {"even", "odd"};
  data.train = {3, 0, 7, 1, 2, 6, 5, 4};
  data.held_out = {9, 8};
  return data;
}

struct Manifest {
  test::ScratchFolder folder;
  GroupsConfig config;
  Manifest(const char* name, const std::string& text) {
    config.by = "manifest";
    config.manifest = folder / name;
    replace_file(config.manifest, text, false);
  }
  [[nodiscard]] std::vector<Group> groups() const { return make_groups(config, small_dataset()); }
};

void refused(const char* file, const std::string& text, const char* why) {
  CAPTURE(text);
  const Manifest manifest(file, text);
  CHECK_THROWS_WITH_AS((void)manifest.groups(), doctest::Contains(why), Error);
  CHECK_THROWS_WITH((void)manifest.groups(), doctest::Contains(file));
}

}  // namespace

TEST_CASE("groups: by class they hold the sorted training items of each class") {
  const auto groups = make_groups({}, small_dataset());
  REQUIRE(groups.size() == 2);
  CHECK(groups[0].name == "even");
  CHECK(groups[0].items == std::vector<std::uint32_t>{0, 2, 4, 6});
  CHECK(groups[1].items == std::vector<std::uint32_t>{1, 3, 5, 7});
}

TEST_CASE("groups: of the digits are ten groups that cover the training set") {
  const Dataset data = load_dataset({});
  const auto groups = make_groups({}, data);
  REQUIRE(groups.size() == 10);
  std::size_t covered = 0;
  for (const Group& group : groups) covered += group.items.size();
  CHECK(covered == 1500);
  CHECK(groups[7].name == "7");
  for (const std::uint32_t item : groups[7].items) CHECK(data.labels[item] == 7);
}

TEST_CASE(
    "groups: a CSV manifest lists item,group; overlaps are allowed, held-out items drop out, order is of appearance") {
  const auto groups = Manifest("g.csv", "item,group\n3,b x\r\n1,a-1\n\n3,a-1\n9,a-1\n3,a-1\n").groups();
  REQUIRE(groups.size() == 2);
  CHECK(groups[0].name == "b x");
  CHECK(groups[0].items == std::vector<std::uint32_t>{3});
  CHECK(groups[1].name == "a-1");
  CHECK(groups[1].items == std::vector<std::uint32_t>{1, 3});
}

TEST_CASE("groups: a JSON manifest maps group to items, in the order of the file") {
  const auto groups = Manifest("g.json", R"({"z": [5, 1], "a": [0]})").groups();
  REQUIRE(groups.size() == 2);
  CHECK(groups[0].name == "z");
  CHECK(groups[0].items == std::vector<std::uint32_t>{1, 5});
  CHECK(groups[1].name == "a");
}

TEST_CASE("groups: bad CSV manifests are refused with file and line") {
  refused("g.csv", "1,a\n10,b\n", "g.csv:2: item 10");
  refused("g.csv", "1,a\nx,b\n", "g.csv:2: 'x,b'");
  refused("g.csv", "1,a\n2\n", "g.csv:2: '2'");
  refused("g.csv", "1,a\n2,\n", "g.csv:2: ''");
  refused("g.csv", "1,a\n2,-b\n", "g.csv:2: '-b'");
  refused("g.csv", "1,a\n2,b/../c\n", "g.csv:2: ");
  refused("g.csv", "1,a\n2," + std::string(65, 'x') + "\n", "g.csv:2: ");
  refused("g.csv", "1,a\n99999999999999999999,b\n", "g.csv:2: ");
  refused("g.csv", "1,a\n", "at least 2");
  refused("g.csv", "", "at least 2");
  refused("g.csv", "1,a\n9,b\n", "no training item");
  refused("g.csv", "0,a\n1,a\n2,a\n3,a\n4,a\n5,a\n6,a\n7,a\n1,b\n", "whole training set");
}

TEST_CASE("groups: bad JSON manifests are refused with the file's name") {
  refused("g.json", "{", "no JSON");
  refused("g.json", R"({"a": [1e999], "b": [1]})", "no JSON");
  refused("g.json", "[]", "no object");
  refused("g.json", R"({"a": 1, "b": [1]})", "no list");
  refused("g.json", R"({"a": [-1], "b": [1]})", "-1");
  refused("g.json", R"({"a": [1.5], "b": [1]})", "1.5");
  refused("g.json", R"({"a": [10], "b": [1]})", "item 10");
  refused("g.json", R"({"a": [], "b": [1]})", "no training item");
  refused("g.json", R"({"a": [2], "a": [1], "b": [3]})", "listed twice");
  refused("g.json", R"({"<b>": [2], "a": [1]})", "no group name");
}

TEST_CASE("groups: an unknown way, a missing manifest and a foreign file type are refused") {
  GroupsConfig config;
  config.by = "colour";
  CHECK_THROWS_WITH_AS((void)make_groups(config, small_dataset()), doctest::Contains("colour"), Error);
  config.by = "manifest";
  CHECK_THROWS_WITH_AS((void)make_groups(config, small_dataset()), doctest::Contains("groups.manifest"), Error);
  config.manifest = "/nowhere/g.csv";
  CHECK_THROWS_AS((void)make_groups(config, small_dataset()), IoError);
  config.manifest = "g.txt";
  CHECK_THROWS_WITH_AS((void)make_groups(config, small_dataset()), doctest::Contains("neither"), Error);
}
