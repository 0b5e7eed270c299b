#include "common/huge_pages.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <numeric>

namespace guda {

TEST_CASE("huge pages: a vector keeps its values while it grows past a page, is copied, moved and shrunk") {
  struct alignas(64) Line {
    std::uint64_t number = 0;
  };
  HugeVector<Line> lines;
  for (std::uint64_t i = 0; i < 100'000; ++i) lines.push_back({i});  // 6.4 MB
  CHECK(reinterpret_cast<std::uintptr_t>(lines.data()) % kHugePage == 0);
  const HugeVector<Line> copy = lines;
  lines.resize(10);
  lines.shrink_to_fit();
  CHECK(reinterpret_cast<std::uintptr_t>(lines.data()) % alignof(Line) == 0);
  CHECK(lines.back().number == 9);
  HugeVector<Line> moved = std::move(lines);
  CHECK(moved.size() == 10);
  CHECK(std::accumulate(copy.begin(), copy.end(), std::uint64_t{0},
                        [](std::uint64_t sum, const Line& line) { return sum + line.number; }) == 4'999'950'000);
}

}  // namespace guda
