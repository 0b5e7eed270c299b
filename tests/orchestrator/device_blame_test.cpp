#include "orchestrator/device_blame.hpp"

#include <doctest/doctest.h>

namespace guda::orchestrator {
namespace {

struct Bench {
  DeviceBlame blame;
  DeviceBlame::Index a0 = blame.join("a/gpu0", "a"), a1 = blame.join("a/gpu1", "a"), a2 = blame.join("a/gpu2", "a"),
                     b0 = blame.join("b/gpu0", "b");
  /// A job fails on `bad` and succeeds on b0.
  std::vector<DeviceBlame::Fence> fail_then_succeed(DeviceBlame::Index bad, std::size_t job) {
    blame.failed(bad, job, {blame.name(bad)});
    return blame.succeeded(b0, job, {blame.name(bad)});
  }
};

}  // namespace

TEST_CASE("blame: two failures in a row of jobs that succeed elsewhere fence a device") {
  Bench b;
  CHECK(b.fail_then_succeed(b.a0, 1).empty());
  const auto fences = b.fail_then_succeed(b.a0, 2);
  REQUIRE(fences.size() == 1);
  CHECK(fences[0].device == "a/gpu0");
  CHECK(b.blame.fenced(b.a0));
  CHECK_FALSE(b.blame.may_work(b.a0));
  CHECK(b.blame.usable() == 3);
}

TEST_CASE("blame: a success between two failures clears a device") {
  Bench b;
  CHECK(b.fail_then_succeed(b.a0, 1).empty());
  CHECK(b.blame.succeeded(b.a0, 7, {}).empty());
  CHECK(b.fail_then_succeed(b.a0, 2).empty());
  CHECK_FALSE(b.blame.fenced(b.a0));
}

TEST_CASE("blame: two fenced devices fence their node, also for devices that join later") {
  Bench b;
  for (std::size_t job = 0; job < 3; ++job) CHECK(b.fail_then_succeed(b.a0, job).size() == (job == 1 ? 1 : 0));
  CHECK(b.fail_then_succeed(b.a1, 10).empty());
  const auto fences = b.fail_then_succeed(b.a1, 11);
  REQUIRE(fences.size() == 2);
  CHECK(fences[1].node == "a");
  CHECK(b.blame.fenced(b.a2));
  CHECK(b.blame.fenced(b.blame.join("a/gpu3", "a")));
  CHECK(b.blame.usable() == 1);
  CHECK(b.blame.unfence("a"));
  CHECK(b.blame.usable() == 5);
  CHECK_FALSE(b.blame.unfence("a"));
}

TEST_CASE("blame: after two failures in a row a device is held back while another one may work") {
  Bench b;
  b.blame.failed(b.a0, 1, {"a/gpu0"});
  CHECK(b.blame.may_work(b.a0));
  b.blame.failed(b.a0, 2, {"a/gpu0"});
  CHECK_FALSE(b.blame.may_work(b.a0));
  CHECK(b.blame.held_back(b.a0));
  SUBCASE("and comes back when a job of it fails elsewhere too") {
    b.blame.failed(b.b0, 2, {"a/gpu0", "b/gpu0"});
    CHECK(b.blame.may_work(b.a0));
  }
  SUBCASE("and works when nobody else is left") {
    for (const auto d : {b.a1, b.a2, b.b0}) b.blame.leave(d);
    CHECK(b.blame.may_work(b.a0));
  }
}

TEST_CASE("blame: the last usable device is never fenced") {
  Bench b;
  b.blame.failed(b.a0, 1, {"a/gpu0"});
  b.blame.failed(b.a0, 2, {"a/gpu0"});
  for (const auto d : {b.a1, b.a2, b.b0}) b.blame.leave(d);
  CHECK(b.blame.succeeded(b.b0, 1, {"a/gpu0"}).empty());  // committed after its worker was lost
  CHECK(b.blame.succeeded(b.b0, 2, {"a/gpu0"}).empty());
  CHECK_FALSE(b.blame.fenced(b.a0));
}

TEST_CASE("blame: two broken devices are found although each job failed on both") {
  Bench b;
  for (std::size_t job = 1; job <= 2; ++job) {
    b.blame.failed(b.a0, job, {"a/gpu0"});
    b.blame.failed(b.a1, job, {"a/gpu0", "a/gpu1"});
  }
  CHECK(b.blame.succeeded(b.b0, 1, {"a/gpu0", "a/gpu1"}).empty());
  CHECK(b.blame.succeeded(b.b0, 2, {"a/gpu0", "a/gpu1"}).size() == 3);  // both, and their node
}

TEST_CASE("blame: untried devices are the live ones that may work") {
  Bench b;
  CHECK(b.blame.untried({"a/gpu0", "gone/gpu9"}) == 3);
  b.blame.leave(b.b0);
  CHECK(b.blame.untried({"a/gpu0"}) == 2);
}

}  // namespace guda::orchestrator
