#include "common/files.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "common/error.hpp"
#include "tests/support/scratch_folder.hpp"

namespace guda {

TEST_CASE("files: a replaced file holds the old or the new content and leaves nothing beside it") {
  const test::ScratchFolder scratch;
  const auto file = scratch.path() / "a.json";
  replace_file(file, "one");
  replace_file(file, "two");
  CHECK(read_file(file) == "two");
  CHECK(std::distance(std::filesystem::directory_iterator(scratch.path()), {}) == 1);
}

TEST_CASE("files: a published folder appears whole, and an equal one that is already there is kept") {
  const test::ScratchFolder scratch;
  const auto target = scratch.path() / "abc";
  publish_directory(target, [&](const auto& partial) {
    CHECK_FALSE(std::filesystem::exists(target));
    std::ofstream(partial / "x") << "first";
  });
  publish_directory(target, [](const auto& partial) { std::ofstream(partial / "x") << "second"; });
  CHECK(read_file(target / "x") == "first");
}

TEST_CASE("files: a writer that throws publishes nothing, and the next attempt starts clean") {
  const test::ScratchFolder scratch;
  const auto target = scratch.path() / "abc";
  CHECK_THROWS(publish_directory(target, [](const auto& partial) {
    std::ofstream(partial / "stale") << "x";
    throw Error("no");
  }));
  CHECK_FALSE(std::filesystem::exists(target));
  publish_directory(target, [](const auto& partial) { std::ofstream(partial / "x") << "y"; });
  CHECK_FALSE(std::filesystem::exists(target / "stale"));
}

TEST_CASE("files: errors name the path and the reason") {
  CHECK_THROWS_WITH_AS(static_cast<void>(read_file("/no/such/file")), "cannot open /no/such/file: No such file or directory", IoError);
}

TEST_CASE("files: a full disk is an i/o error that names the cure") {
  if (::access("/dev/full", W_OK) != 0) return;
  const Fd fd = open_file("/dev/full", 1);
  CHECK_THROWS_WITH_AS(write_all(fd.get(), "x", "/dev/full"), doctest::Contains("free space"), IoError);
}

}  // namespace guda
