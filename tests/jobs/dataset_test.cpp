#include "jobs/dataset.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <numeric>
#include <set>
#include <string>

#include "common/error.hpp"
#include "common/files.hpp"
#include "tests/support/scratch_folder.hpp"

using namespace guda;
using namespace guda::jobs;

namespace {

std::string row(int pixel, int label) {
  std::string text;
  for (int i = 0; i < 64; ++i) text += std::to_string(pixel) + ",";
  return text + std::to_string(label) + "\n";
}

DatasetConfig at(const std::filesystem::path& file, std::uint32_t train) {
  DatasetConfig config;
  config.path = file;
  config.train = train;
  return config;
}

}  // namespace

TEST_CASE("dataset: the shipped digits are 1,797 images of 8x8 with 17 levels and ten classes") {
  const Dataset data = load_dataset({});
  CHECK(data.labels.size() == 1797);
  CHECK(data.pixels.size() == 1797 * 64);
  CHECK(data.shape == std::array<std::uint32_t, 3>{1, 8, 8});
  CHECK(data.levels == 17);
  CHECK(data.class_names.size() == 10);
  CHECK(*std::max_element(data.pixels.begin(), data.pixels.end()) == 16);
  std::vector<int> counts(10);
  for (const std::uint32_t label : data.labels) ++counts.at(label);
  CHECK(counts == std::vector<int>{178, 182, 177, 183, 181, 182, 181, 179, 174, 180});  // as published by UCI
  CHECK(data.labels[0] == 0);
  CHECK(data.pixels[2] == 5);
}

TEST_CASE("dataset: training and held-out items are disjoint, complete and mixed over the classes") {
  const Dataset data = load_dataset({});
  CHECK(data.train.size() == 1500);
  CHECK(data.held_out.size() == 297);
  std::set<std::uint32_t> all(data.train.begin(), data.train.end());
  all.insert(data.held_out.begin(), data.held_out.end());
  CHECK(all.size() == 1797);
  std::vector<int> held(10);
  for (const std::uint32_t item : data.held_out) ++held.at(data.labels[item]);
  CHECK(*std::min_element(held.begin(), held.end()) >= 15);
}

TEST_CASE("dataset: the split depends on its seed only, and the content digest on the split") {
  const Dataset a = load_dataset({});
  DatasetConfig other;
  other.split_seed = 1;
  const Dataset b = load_dataset(other);
  CHECK(load_dataset({}).content == a.content);
  CHECK(b.train != a.train);
  CHECK(b.content != a.content);
  CHECK(b.pixels == a.pixels);
  // Fixed for ever: a run made by an earlier build is resumed only if its split is the same.
  CHECK(std::vector<std::uint32_t>(a.train.begin(), a.train.begin() + 4) ==
        std::vector<std::uint32_t>{26, 637, 711, 1346});
}

TEST_CASE("dataset: plain text is read as well as gzip") {
  const test::ScratchFolder folder;
  replace_file(folder / "d.csv", row(3, 1) + row(16, 9));
  const Dataset data = load_dataset(at(folder / "d.csv", 1));
  CHECK(data.labels == std::vector<std::uint32_t>{1, 9});
  CHECK(data.pixels.front() == 3);
  CHECK(data.pixels.back() == 16);
}

TEST_CASE("dataset: every bad row is refused with file and line") {
  const test::ScratchFolder folder;
  const auto refused = [&](const std::string& bad, const char* why) {
    replace_file(folder / "d.csv", row(0, 0) + bad, false);
    CAPTURE(bad);
    CHECK_THROWS_WITH_AS((void)load_dataset(at(folder / "d.csv", 1)), doctest::Contains("d.csv:2: "), Error);
    CHECK_THROWS_WITH((void)load_dataset(at(folder / "d.csv", 1)), doctest::Contains(why));
  };
  refused(row(17, 0), "column 1 is 17");
  refused(row(0, 10), "column 65 is 10");
  refused("1,2,3\n", "columns");
  refused(row(1, 1).substr(2), "columns");
  refused("7," + row(1, 1), "columns");
  refused("a" + row(1, 1), "no whole number");
  refused("-1" + row(1, 1), "no whole number");
  refused("\n", "no whole number");
}

TEST_CASE("dataset: empty, damaged and missing files, a wrong kind and a wrong size are refused") {
  const test::ScratchFolder folder;
  replace_file(folder / "empty.csv", "");
  CHECK_THROWS_WITH_AS((void)load_dataset(at(folder / "empty.csv", 1)), doctest::Contains("holds no row"), Error);
  const std::string packed = read_file(std::filesystem::path(GUDA_SOURCE_DIR) / "jobs/data/digits/digits.csv.gz");
  replace_file(folder / "cut.csv.gz", packed.substr(0, packed.size() / 2));
  CHECK_THROWS_WITH_AS((void)load_dataset(at(folder / "cut.csv.gz", 1)), doctest::Contains("cut.csv.gz"), Error);
  CHECK_THROWS_AS((void)load_dataset(at(folder / "none.csv", 1)), IoError);
  CHECK_THROWS_WITH_AS((void)load_dataset(at("", 1798)), doctest::Contains("1798"), Error);
  CHECK_THROWS_WITH_AS((void)load_dataset(at("", 0)), doctest::Contains("dataset.train"), Error);
  DatasetConfig kind;
  kind.kind = "mnist";
  CHECK_THROWS_WITH_AS((void)load_dataset(kind), doctest::Contains("mnist"), Error);
}

TEST_CASE("dataset: GUDA_DATA_DIR names the folder of the shipped data, and a wrong one is an error") {
  const test::ScratchFolder folder;
  ::setenv("GUDA_DATA_DIR", folder.path().c_str(), 1);
  CHECK_THROWS_WITH_AS((void)load_dataset({}), doctest::Contains("GUDA_DATA_DIR"), Error);
  std::filesystem::create_directories(folder / "digits");
  replace_file(folder / "digits/digits.csv.gz", row(1, 1) + row(2, 2));
  DatasetConfig config;
  config.train = 1;
  CHECK(load_dataset(config).labels.size() == 2);
  ::unsetenv("GUDA_DATA_DIR");
}
