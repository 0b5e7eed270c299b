#include "jobs/cifar10.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <string>

#include "common/error.hpp"
#include "common/files.hpp"
#include "tests/support/scratch_folder.hpp"
#include "tests/support/small_cifar10.hpp"

using namespace guda;
using namespace guda::jobs;

namespace {

struct Folder {
  test::ScratchFolder scratch;
  DatasetConfig config;
  Folder() {
    test::write_small_cifar10(scratch.path(), 20, 10);
    config.kind = "cifar10";
    config.path = scratch.path();
    config.train = 40;
  }
  void refused(const char* why, const char* where) const {
    CAPTURE(why);
    CHECK_THROWS_WITH_AS((void)load_dataset(config), doctest::Contains(why), Error);
    CHECK_THROWS_WITH((void)load_dataset(config), doctest::Contains(where));
  }
};

std::string record_of(std::uint8_t label, std::uint8_t pixel) {
  return std::string(1, static_cast<char>(label)) + std::string(3072, static_cast<char>(pixel));
}

}  // namespace

TEST_CASE("CIFAR-10: data batches in the order of their numbers, then the test batch, which is held out") {
  Folder folder;
  replace_file(folder.scratch / "data_batch_10.bin", record_of(7, 200), false);  // after 1 and 2, not between them
  const Dataset data = load_dataset(folder.config);
  CHECK(data.shape == std::array<std::uint32_t, 3>{3, 32, 32});
  CHECK(data.levels == 256);
  CHECK(data.labels.size() == 51);
  CHECK(data.pixels.size() == 51 * 3072);
  CHECK(data.class_names.size() == 10);
  CHECK(data.class_names[3] == "cat");
  CHECK(data.labels[40] == 7);
  CHECK(data.pixels[40 * 3072] == 200);
  CHECK(data.train.size() == 40);
  CHECK(*std::max_element(data.train.begin(), data.train.end()) <= 40);
  CHECK(data.held_out == std::vector<std::uint32_t>{41, 42, 43, 44, 45, 46, 47, 48, 49, 50});
}

TEST_CASE("CIFAR-10: without a test batch the items that are left are held out") {
  Folder folder;
  std::filesystem::remove(folder.scratch / "test_batch.bin");
  folder.config.train = 30;
  const Dataset data = load_dataset(folder.config);
  CHECK(data.train.size() == 30);
  CHECK(data.held_out.size() == 10);
}

TEST_CASE("CIFAR-10: pixels, labels, side and split are in the content digest") {
  Folder folder;
  const Digest whole = load_dataset(folder.config).content;
  CHECK(load_dataset(folder.config).content == whole);
  folder.config.side = 16;
  const Digest half = load_dataset(folder.config).content;
  CHECK(half != whole);
  std::string bytes = read_file(folder.scratch / "data_batch_2.bin");
  bytes[3000] = static_cast<char>(bytes[3000] ^ 64);
  replace_file(folder.scratch / "data_batch_2.bin", bytes, false);
  CHECK(load_dataset(folder.config).content != half);
}

TEST_CASE("CIFAR-10: a smaller side is the mean of squares of pixels, halves rounded up, channel by channel") {
  Folder folder;
  std::string record = record_of(0, 10);
  record[1 + 1024] = 20;                               // green, row 0, column 0
  record[1 + 1024 + 33] = 12;                          // row 1, column 1: mean of 20, 10, 10, 12 is 13
  for (int i : {0, 1, 32}) record[1 + 2048 + i] = 11;  // blue: mean of 11, 11, 11, 10 is 10.75
  record[1 + 2048 + 2] = 12;                           // next square: 12, 10, 10, 10 is 10.5
  replace_file(folder.scratch / "data_batch_1.bin", record, false);
  folder.config.side = 16;
  folder.config.train = 2;
  const Dataset data = load_dataset(folder.config);
  CHECK(data.shape == std::array<std::uint32_t, 3>{3, 16, 16});
  CHECK(data.pixels[0] == 10);
  CHECK(data.pixels[256] == 13);
  CHECK(data.pixels[257] == 10);
  CHECK(data.pixels[512] == 11);
  CHECK(data.pixels[513] == 11);
  folder.config.side = 4;
  CHECK(load_dataset(folder.config).pixels.size() == (1 + 20 + 10) * 48);
}

TEST_CASE("CIFAR-10: truncated, over-long and mislabelled files are refused with file, record and cure") {
  Folder folder;
  const auto batch = folder.scratch / "data_batch_2.bin";
  const std::string good = read_file(batch);
  replace_file(batch, good.substr(0, good.size() - 1), false);
  folder.refused("19 records of 3073 bytes and 3072 bytes more", "data_batch_2.bin");
  folder.refused("fetch it again", "data_batch_2.bin");
  replace_file(batch, good + "x", false);
  folder.refused("20 records of 3073 bytes and 1 bytes more", "data_batch_2.bin");
  replace_file(batch, "", false);
  folder.refused("0 bytes", "data_batch_2.bin");
  replace_file(batch, record_of(0, 1) + record_of(10, 1), false);
  folder.refused("record 1 (from 0): the label 10 is out of range", "data_batch_2.bin");
  folder.refused("names 10 classes (0..9)", "data_batch_2.bin");
  std::string many;
  for (int i = 0; i < 10001; ++i) many += record_of(0, 1);
  replace_file(batch, many, false);
  folder.refused("over-long, 10001 records", "data_batch_2.bin");
}

TEST_CASE("CIFAR-10: a folder that is none, missing names and a side that does not fit are refused with a cure") {
  Folder folder;
  folder.config.side = 12;
  folder.refused("dataset.side", "32, 16, 8 and 4");
  folder.config.side = 0;
  folder.config.train = 41;
  folder.refused("choose 1..40", "dataset.train");
  folder.config.train = 40;
  std::filesystem::copy_file(folder.scratch / "data_batch_1.bin", folder.scratch / "data_batch_one.bin");
  folder.refused("data_batch_<number>.bin", "data_batch_one.bin");
  std::filesystem::remove(folder.scratch / "data_batch_one.bin");
  std::filesystem::remove(folder.scratch / "batches.meta.txt");
  folder.refused("batches.meta.txt", "batches.meta.txt");
  replace_file(folder.scratch / "batches.meta.txt", "\n", false);
  folder.refused("names 0 classes", "batches.meta.txt");
  std::filesystem::remove(folder.scratch / "data_batch_1.bin");
  std::filesystem::remove(folder.scratch / "data_batch_2.bin");
  folder.refused("holds no data_batch_<number>.bin", "dataset.path");
  folder.config.path.clear();
  folder.refused("dataset.path: is not set", "data_batch_*.bin");
}
