#include "cluster/node_list.hpp"

#include <doctest/doctest.h>

#include "common/error.hpp"

namespace guda::cluster {
using Names = std::vector<std::string>;

TEST_CASE("node list: ranges keep their leading zeros, brackets multiply, plain names pass") {
  CHECK(expand_node_list("login") == Names{"login"});
  CHECK(expand_node_list("n[08-11,3],gpu-b") == Names{"n08", "n09", "n10", "n11", "n3", "gpu-b"});
  CHECK(expand_node_list("r[1-2]c[0-1]-ib") == Names{"r1c0-ib", "r1c1-ib", "r2c0-ib", "r2c1-ib"});
}

TEST_CASE("node list: what is malformed is named, and nothing expands without bound") {
  for (const char* wrong :
       {"", "n[1-", "n1]", "n[[1]]", "n[2-1]", "n[a-b]", "n[1,,2]", ",n1", "n[1-99999999]", "n[0-9999]m[0-9999]"}) {
    CHECK_THROWS_AS(static_cast<void>(expand_node_list(wrong)), Error);
  }
}

TEST_CASE("node list: counts per node repeat as often as they say") {
  CHECK(expand_counts("8(x2),4") == std::vector<std::uint32_t>{8, 8, 4});
  CHECK(expand_counts("16") == std::vector<std::uint32_t>{16});
  CHECK_THROWS_AS(static_cast<void>(expand_counts("8(x")), Error);
  CHECK_THROWS_AS(static_cast<void>(expand_counts("8(x99999999)")), Error);
}

TEST_CASE("node list: Slurm's times are minutes when bare, and go back and forth") {
  CHECK(slurm_seconds("30") == 1800);
  CHECK(slurm_seconds("01:30") == 90);
  CHECK(slurm_seconds("12:00:00") == 43'200);
  CHECK(slurm_seconds("2-12") == 216'000);
  CHECK(slurm_seconds("1-00:00:01") == 86'401);
  CHECK_THROWS_AS(static_cast<void>(slurm_seconds("12h")), Error);
  CHECK_THROWS_AS(static_cast<void>(slurm_seconds("1:2:3:4")), Error);
  for (const double seconds : {90.0, 43'200.0, 216'000.0, 86'401.0})
    CHECK(slurm_seconds(slurm_time(seconds)) == seconds);
}

}  // namespace guda::cluster
