#include "common/checksums.hpp"

#include <doctest/doctest.h>

#include <fstream>

#include "common/files.hpp"
#include "tests/support/scratch_folder.hpp"

namespace guda {

TEST_CASE("checksums: a published folder is as it was published, below subfolders too") {
  const test::ScratchFolder scratch;
  const auto target = scratch / "abc";
  publish_directory(target, [](const auto& partial) {
    std::filesystem::create_directory(partial / "unet");
    std::ofstream(partial / "unet" / "weights") << std::string(100000, 'w');
    std::ofstream(partial / "config.json") << "{}";
  });
  CHECK(check_checksums(target).empty());
}

TEST_CASE("checksums: every kind of change is named with its file") {
  const test::ScratchFolder scratch;
  const auto target = scratch / "abc";
  publish_directory(target, [](const auto& partial) { std::ofstream(partial / "weights") << "12345"; });
  const auto only_fault = [&] {
    const auto faults = check_checksums(target);
    REQUIRE(faults.size() == 1);
    return faults[0];
  };
  std::ofstream(target / "weights") << "12346";
  CHECK(only_fault() == "weights has other content than when it was published");
  std::ofstream(target / "weights") << "1234";
  CHECK(only_fault() == "weights has 4 bytes instead of 5");
  std::filesystem::remove(target / "weights");
  CHECK(only_fault() == "weights is missing");
  std::ofstream(target / "weights") << "12345";
  std::ofstream(target / "more") << "x";
  CHECK(only_fault().starts_with("more was not there"));
  std::filesystem::remove(target / "more");
  std::ofstream(target / kChecksumsFile) << "{";
  CHECK(only_fault() == "checksums.json is damaged");
  std::filesystem::remove(target / kChecksumsFile);
  CHECK_FALSE(check_checksums(target).empty());
}

}  // namespace guda
