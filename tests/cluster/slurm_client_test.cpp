#include "cluster/slurm_client.hpp"

#include <doctest/doctest.h>

namespace guda::cluster {
namespace {
constexpr const char* kSinfo =
    "cpu*|1-00:00:00|40|64|(null)|256000\ngpu|12:00:00|8|48|gpu:a100:4(S:0-1)|512000\ngpu|12:00:00|2|48|gpu:h100:8|"
    "1024000+\ndebug|30:00|1|4|(null)|4000\nbroken line\n";
}

TEST_CASE("slurm: sinfo's lines of one partition are merged, its best node counts") {
  const auto all = parse_sinfo(kSinfo);
  REQUIRE(all.size() == 3);
  CHECK(all[0].is_default);
  CHECK(all[0].name == "cpu");
  CHECK(all[0].time_limit == 86'400);
  CHECK(all[1].nodes == 10);
  CHECK(all[1].gpus == 8);
  CHECK(all[1].memory == 1024000ULL << 20);
}

TEST_CASE("slurm: each reason against a submission comes with its cure") {
  const auto all = parse_sinfo(kSinfo);
  CHECK(reasons_against(all, {"gpu", 2, 32, 4, 43'200, 1e9}).empty());
  CHECK(reasons_against(all, {"", 2, 32, 0, 3600, 1e9}).empty());
  const auto unknown = reasons_against(all, {"gpus", 1, 1, 0, 60, 0});
  REQUIRE(unknown.size() == 1);
  CHECK(unknown[0].find("did you mean 'gpu'") != std::string::npos);
  const auto much = reasons_against(all, {"gpu", 11, 64, 9, 86'400, 2e12});
  CHECK(much.size() == 5);
  for (const auto& reason : much) CHECK(reason.find("Cure:") != std::string::npos);
}

TEST_CASE("slurm: what sbatch says leads to a cure of its own") {
  CHECK(cure_for("sbatch: error: invalid partition specified: gpux").find("--partition") == 0);
  CHECK(cure_for("Batch job submission failed: Invalid account or account/partition combination specified")
            .find("--account") == 0);
  CHECK(cure_for("Requested node configuration is not available").find("fewer --gpus-per-node") == 0);
  CHECK(cure_for("Requested time limit is invalid (missing or exceeds some limit)").find("a shorter --time") == 0);
  CHECK(cure_for("something new").find("read what Slurm says") == 0);
}

}  // namespace guda::cluster
