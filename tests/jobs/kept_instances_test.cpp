#include "jobs/kept_instances.hpp"

#include <doctest/doctest.h>

#include <fstream>

#include "common/error.hpp"
#include "tests/support/scratch_folder.hpp"

namespace guda::jobs {

TEST_CASE("the top items of several queries are united, sorted and each once") {
  const test::ScratchFolder scratch;
  std::ofstream(scratch / "instances.json")
      << R"({"schema": 1, "names": ["a", "b", "c"], "items": [[9, 4, 1], [4, 7, 2], [0, 3, 5]]})";
  const KeptInstances kept = read_kept_instances(scratch.path());
  CHECK(union_of_first(kept, 2, 2) == std::vector<std::uint32_t>{4, 7, 9});
  CHECK(union_of_first(kept, 3, 1) == std::vector<std::uint32_t>{0, 4, 9});
  CHECK_THROWS_WITH_AS((void)union_of_first(kept, 1, 4), doctest::Contains("keep_instances"), Error);
  CHECK_THROWS_AS((void)union_of_first(kept, 4, 1), Error);
  std::ofstream(scratch / "instances.json") << "{}";
  CHECK_THROWS_WITH_AS((void)read_kept_instances(scratch.path()), doctest::Contains("instances.json"), Error);
}

}  // namespace guda::jobs
