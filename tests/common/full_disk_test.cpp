#include "common/full_disk.hpp"

#include <doctest/doctest.h>

#include <thread>

#include "common/error.hpp"
#include "common/files.hpp"
#include "tests/support/scratch_folder.hpp"

namespace guda {

TEST_CASE("full disk: writes of its thread fail by name and leave nothing, until it is gone; other threads write on") {
  const test::ScratchFolder scratch;
  const auto file = scratch.path() / "file", artifact = scratch.path() / "artifact";
  {
    const FullDisk full;
    CHECK_THROWS_WITH_AS(replace_file(file, "text"), doctest::Contains("No space left on device (free space"), IoError);
    CHECK_THROWS_WITH_AS(publish_directory(artifact, [](const auto& partial) { replace_file(partial / "w", "x"); }),
                         doctest::Contains("artifact"), IoError);
    CHECK(std::filesystem::is_empty(scratch.path()));
    std::thread([&] { replace_file(file, "of another thread"); }).join();
  }
  CHECK(read_file(file) == "of another thread");
  replace_file(file, "text");
  CHECK(read_file(file) == "text");
}

}  // namespace guda
