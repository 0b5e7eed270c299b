#include "worker/time_checkpoint.hpp"

#include <doctest/doctest.h>

#include <filesystem>

#include "common/error.hpp"
#include "common/files.hpp"
#include "tests/support/scratch_folder.hpp"
#include "tests/support/tiny_study.hpp"

using namespace guda;
using namespace guda::worker;

TEST_CASE("time-checkpoint: works on any config and folder and leaves nothing behind") {
  const test::ScratchFolder folder;
  const auto config = folder / "config.json";
  replace_file(config, test::tiny_model().dump(), false);
  std::filesystem::create_directories(folder / "target");
  CHECK(time_checkpoint(config, folder / "target", 2) == 0);
  CHECK(std::filesystem::is_empty(folder / "target"));
}

TEST_CASE("time-checkpoint: a missing folder, a config that is none and no repetition are named") {
  const test::ScratchFolder folder;
  const auto config = folder / "config.json";
  replace_file(config, "[1]", false);
  CHECK_THROWS_WITH_AS(time_checkpoint(config, folder / "absent", 1), doctest::Contains("is no folder"), Error);
  CHECK_THROWS_WITH_AS(time_checkpoint(config, folder.path(), 1), doctest::Contains("is no JSON object"), Error);
  CHECK_THROWS_WITH_AS(time_checkpoint(config, folder.path(), 0), doctest::Contains("--repeat"), Error);
}
