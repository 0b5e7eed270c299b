#include "jobs/drawn_groups.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>

#include "common/error.hpp"
#include "common/files.hpp"
#include "tests/support/scratch_folder.hpp"

using namespace guda;
using namespace guda::jobs;

namespace {

/// 10 classes of 100 training items, label = item % 10; ten more items are held out.
Dataset balanced() {
  Dataset data;
  data.shape = {1, 1, 1};
  data.pixels.assign(1010, 0);
  for (std::uint32_t i = 0; i < 1010; ++i) data.labels.push_back(i % 10);
  for (int c = 0; c < 10; ++c) data.class_names.push_back("c" + std::to_string(c));
  for (std::uint32_t i = 0; i < 1000; ++i) data.train.push_back(999 - i);
  for (std::uint32_t i = 1000; i < 1010; ++i) data.held_out.push_back(i);
  return data;
}

GroupsConfig by(const char* form) {
  GroupsConfig config;
  config.by = form;
  return config;
}

}  // namespace

TEST_CASE(
    "noisy groups: each class loses and gains exactly the share, nobody keeps its class, sizes stay (methods.md "
    "11.4)") {
  GroupsConfig config = by("noisy");
  config.noise = 0.3;  // ten blocks of three
  const Dataset data = balanced();
  const auto groups = make_groups(config, data);
  REQUIRE(groups.size() == 10);
  std::set<std::uint32_t> all;
  for (std::uint32_t g = 0; g < 10; ++g) {
    CAPTURE(g);
    CHECK(groups[g].name == data.class_names[g]);
    CHECK(groups[g].items.size() == 100);
    const auto own = std::count_if(groups[g].items.begin(), groups[g].items.end(),
                                   [&](auto item) { return data.labels[item] == g; });
    CHECK(own == 70);
    all.insert(groups[g].items.begin(), groups[g].items.end());
  }
  CHECK(all.size() == 1000);
  // Blocks of three move together: what one class got of another is a multiple of three, and not all from one.
  std::map<std::uint32_t, int> sources;
  for (const std::uint32_t item : groups[0].items) ++sources[data.labels[item]];
  for (const auto& [label, count] : sources) CHECK((label == 0 || count % 3 == 0));
  CHECK(sources.size() > 3);
}

TEST_CASE("noisy groups: they depend on the seed and not on the order of the split") {
  Dataset data = balanced();
  GroupsConfig config = by("noisy");
  config.noise = 0.3;
  const auto items = [&] { return make_groups(config, data)[4].items; };
  const auto first = items();
  std::reverse(data.train.begin(), data.train.end());
  CHECK(items() == first);
  config.seed = 43;
  CHECK(items() != first);
}

TEST_CASE("random groups: independent subsets of the asked size, which overlap") {
  GroupsConfig config = by("random");
  config.count = 7;
  config.fraction = 0.2;
  const auto groups = make_groups(config, balanced());
  REQUIRE(groups.size() == 7);
  std::set<std::uint32_t> all;
  for (const Group& group : groups) {
    CHECK(group.items.size() == 200);
    CHECK(group.items.back() < 1000);  // no held-out item
    all.insert(group.items.begin(), group.items.end());
  }
  CHECK(all.size() > 700);  // 1 - .8^7 = .79 of 1,000 are expected
  CHECK(all.size() < 900);
  CHECK(groups[0].items != groups[1].items);
}

TEST_CASE("redundant groups: every class in two disjoint parts of the asked shares") {
  const Dataset data = balanced();
  const auto groups = make_groups(by("redundant"), data);
  REQUIRE(groups.size() == 20);
  for (std::uint32_t c = 0; c < 10; ++c) {
    const Group &large = groups[2 * c], &small = groups[2 * c + 1];
    CHECK(large.name == data.class_names[c] + "_a");
    CHECK(small.name == data.class_names[c] + "_b");
    CHECK(large.items.size() == 80);
    CHECK(small.items.size() == 20);
    std::set<std::uint32_t> both(large.items.begin(), large.items.end());
    both.insert(small.items.begin(), small.items.end());
    CHECK(both.size() == 100);
    CHECK(std::all_of(both.begin(), both.end(), [&](auto item) { return data.labels[item] == c; }));
  }
}

TEST_CASE("unequal groups: sizes fall geometrically from a whole class to a tenth of it") {
  const Dataset data = balanced();
  const auto groups = make_groups(by("unequal"), data);
  REQUIRE(groups.size() == 10);
  CHECK(groups[0].items.size() == 100);
  CHECK(groups[9].items.size() == 10);
  for (std::uint32_t c = 0; c + 1 < 10; ++c) {
    CHECK(groups[c].items.size() > groups[c + 1].items.size());
    CHECK(
        std::all_of(groups[c].items.begin(), groups[c].items.end(), [&](auto item) { return data.labels[item] == c; }));
  }
}

TEST_CASE("drawn groups: what can't be drawn is refused with its key and a cure") {
  Dataset data = balanced();
  const auto refused = [&](const GroupsConfig& config, const char* why) {
    CAPTURE(why);
    CHECK_THROWS_WITH_AS((void)make_groups(config, data), doctest::Contains(why), Error);
  };
  GroupsConfig config = by("noisy");
  refused(
      config,
      "groups.noise: 0.05 of the smallest class (100 items) can't be cut into 10 equal blocks; choose at least 0.100");
  config = by("redundant");
  config.share = 0.999;
  refused(config, "groups.share: 0.999");
  config = by("unequal");
  config.ratio = 1000;
  refused(config, "groups.ratio: 1000");
  config = by("random");
  config.fraction = 0.9999;
  refused(config, "whole training set");
  config.fraction = 0.0001;
  refused(config, "no training item");
  refused(by("colour"), "known: class, manifest, noisy, random, redundant, unequal");
  data.train.erase(
      std::remove_if(data.train.begin(), data.train.end(), [&](auto item) { return data.labels[item] == 3; }),
      data.train.end());
  refused(by("redundant"), "the class 'c3' has no training item");
}

TEST_CASE("manifests: groups may be nested and may overlap, each keeps all of its items") {
  const test::ScratchFolder folder;
  GroupsConfig config = by("manifest");
  config.manifest = folder / "nested.json";
  replace_file(config.manifest, R"({"animals": [0, 1, 2, 3], "cats": [1, 2], "tabby": [2], "pets": [2, 3, 10]})",
               false);
  const auto groups = make_groups(config, balanced());
  REQUIRE(groups.size() == 4);
  CHECK(groups[0].items == std::vector<std::uint32_t>{0, 1, 2, 3});
  CHECK(groups[1].items == std::vector<std::uint32_t>{1, 2});
  CHECK(groups[2].items == std::vector<std::uint32_t>{2});
  CHECK(groups[3].items == std::vector<std::uint32_t>{2, 3, 10});
}
