#include "common/memory.hpp"

#include <doctest/doctest.h>

#include <vector>

namespace guda {

TEST_CASE("memory: the peak is that of this process, and can begin anew") {
  const std::uint64_t before = peak_memory();
  CHECK(before > (1U << 20));
  {
    std::vector<char> touched(before + (64U << 20), 1);
    CHECK(touched.back() == 1);
  }
  const std::uint64_t high = peak_memory();
  CHECK(high > before);
  reset_peak_memory();
  CHECK(peak_memory() + (32U << 20) < high);
}

TEST_CASE("memory: what is available is more than nothing and less than a petabyte") {
  CHECK(available_memory() > 1e6);
  CHECK(available_memory() < 1e15);
}

}  // namespace guda
