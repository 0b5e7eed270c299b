#include "common/files.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
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
  CHECK_THROWS_WITH_AS(static_cast<void>(read_file("/no/such/file")),
                       "cannot open /no/such/file: No such file or directory", IoError);
}

TEST_CASE("files: a full disk is an i/o error that names the cure") {
  if (::access("/dev/full", W_OK) != 0) return;
  const Fd fd = open_file("/dev/full", 1);
  CHECK_THROWS_WITH_AS(write_all(fd.get(), "x", "/dev/full"), doctest::Contains("free space"), IoError);
}

TEST_CASE("files: every refusal of a disk names its cure") {
  for (const int code : {ENOSPC, EDQUOT, EACCES, EROFS, EIO, ENOLCK, EOPNOTSUPP, EMFILE, ESTALE}) {
    CHECK(errno_text("cannot write", "/x", code).starts_with("cannot write /x: "));
    CHECK(errno_text("cannot write", "/x", code).ends_with(")"));
  }
  CHECK(errno_cure(ENOENT).empty());
}

TEST_CASE("files: a replacement or publication that fails leaves no half behind") {
  const test::ScratchFolder scratch;
  std::filesystem::create_directory(scratch / "target");
  std::ofstream(scratch / "target" / "x") << "1";
  CHECK_THROWS_AS(replace_file(scratch / "target", "text"), IoError);  // a folder is in its place
  CHECK_THROWS(publish_directory(scratch / "new", [](const auto& partial) {
    std::ofstream(partial / "large") << std::string(1000, 'x');
    throw IoError("disk full");
  }));
  CHECK(std::distance(std::filesystem::directory_iterator(scratch.path()), {}) == 1);
}

TEST_CASE("files: a link to an artifact that is gone makes room for a new one") {
  const test::ScratchFolder scratch;
  std::filesystem::create_directory_symlink(scratch / "gone", scratch / "abc");
  publish_directory(scratch / "abc", [](const auto& partial) { std::ofstream(partial / "x") << "y"; });
  CHECK(read_file(scratch / "abc" / "x") == "y");
  CHECK_FALSE(std::filesystem::is_symlink(scratch / "abc"));
}

TEST_CASE("files: a probe of a folder that is well leaves nothing, one of a folder that is not says why") {
  const test::ScratchFolder scratch;
  probe_writable(scratch.path(), 1000);
  CHECK(std::filesystem::is_empty(scratch.path()));
  CHECK_THROWS_WITH_AS(probe_writable(scratch / "missing", 1), doctest::Contains("missing"), IoError);
}

}  // namespace guda
