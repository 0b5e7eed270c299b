#include "orchestrator/device_blame.hpp"

#include <doctest/doctest.h>

namespace guda::orchestrator {
namespace {

constexpr double now = 0;

struct Bench {
  DeviceBlame blame;
  DeviceBlame::Index a0 = blame.join("a/gpu0", "a"), a1 = blame.join("a/gpu1", "a"), a2 = blame.join("a/gpu2", "a"),
                     b0 = blame.join("b/gpu0", "b");
  /// A job fails on `bad` and succeeds on b0.
  std::vector<DeviceBlame::Fence> fail_then_succeed(DeviceBlame::Index bad, std::size_t job) {
    blame.failed(bad, job, {blame.name(bad)}, now);
    return blame.succeeded(b0, job, {blame.name(bad)}, now);
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
  CHECK(b.blame.succeeded(b.a0, 7, {}, now).empty());
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
  b.blame.failed(b.a0, 1, {"a/gpu0"}, now);
  CHECK(b.blame.may_work(b.a0));
  b.blame.failed(b.a0, 2, {"a/gpu0"}, now);
  CHECK_FALSE(b.blame.may_work(b.a0));
  CHECK(b.blame.held_back(b.a0));
  SUBCASE("and comes back when a job of it fails elsewhere too") {
    b.blame.failed(b.b0, 2, {"a/gpu0", "b/gpu0"}, now);
    CHECK(b.blame.may_work(b.a0));
  }
  SUBCASE("and works when nobody else is left") {
    for (const auto d : {b.a1, b.a2, b.b0}) b.blame.leave(d);
    CHECK(b.blame.may_work(b.a0));
  }
}

TEST_CASE("blame: the last usable device is never fenced") {
  Bench b;
  b.blame.failed(b.a0, 1, {"a/gpu0"}, now);
  b.blame.failed(b.a0, 2, {"a/gpu0"}, now);
  for (const auto d : {b.a1, b.a2, b.b0}) b.blame.leave(d);
  CHECK(b.blame.succeeded(b.b0, 1, {"a/gpu0"}, now).empty());  // committed after its worker was lost
  CHECK(b.blame.succeeded(b.b0, 2, {"a/gpu0"}, now).empty());
  CHECK_FALSE(b.blame.fenced(b.a0));
}

TEST_CASE("blame: two broken devices are found although each job failed on both") {
  Bench b;
  for (std::size_t job = 1; job <= 2; ++job) {
    b.blame.failed(b.a0, job, {"a/gpu0"}, now);
    b.blame.failed(b.a1, job, {"a/gpu0", "a/gpu1"}, now);
  }
  CHECK(b.blame.succeeded(b.b0, 1, {"a/gpu0", "a/gpu1"}, now).empty());
  CHECK(b.blame.succeeded(b.b0, 2, {"a/gpu0", "a/gpu1"}, now).size() == 3);  // both, and their node
}

TEST_CASE("blame: a fenced device gets one job on trial after its rest") {
  Bench b;
  for (std::size_t job = 1; job <= 2; ++job) static_cast<void>(b.fail_then_succeed(b.a0, job));
  REQUIRE(b.blame.fenced(b.a0));
  b.blame.pass_time(59);
  CHECK_FALSE(b.blame.may_work(b.a0));
  b.blame.pass_time(60);
  REQUIRE(b.blame.may_work(b.a0));
  CHECK(b.blame.untried({"a/gpu0"}) == 3);  // it is no alternative for a job that failed
  b.blame.began(b.a0);
  CHECK_FALSE(b.blame.may_work(b.a0));  // one, not one for each of its workers
  SUBCASE("a success lifts the fence") {
    const auto lifted = b.blame.succeeded(b.a0, 9, {}, 70);
    REQUIRE(lifted.size() == 1);
    CHECK_FALSE(lifted[0].fenced);
    CHECK_FALSE(b.blame.fenced(b.a0));
    CHECK(b.blame.may_work(b.a0));
    CHECK(b.blame.usable() == 4);
  }
  SUBCASE("a failure doubles the rest, every time") {
    double at = 60;
    for (double rest = 120; rest < 4000; rest *= 2) {
      b.blame.failed(b.a0, 9, {"a/gpu0"}, at);
      b.blame.pass_time(at + rest - 1);
      CHECK_FALSE(b.blame.may_work(b.a0));
      at += rest;
      b.blame.pass_time(at);
      REQUIRE(b.blame.may_work(b.a0));
      b.blame.began(b.a0);
    }
  }
  SUBCASE("an end that says nothing about the device leaves the trial open") {
    b.blame.undecided(b.a0);
    CHECK(b.blame.may_work(b.a0));
  }
}

TEST_CASE("blame: successes halve the next rest again") {
  for (const int successes : {15, 16}) {
    Bench b;
    for (std::size_t job = 1; job <= 2; ++job) static_cast<void>(b.fail_then_succeed(b.a0, job));
    b.blame.pass_time(60);
    b.blame.began(b.a0);
    for (int i = 0; i < successes; ++i) static_cast<void>(b.blame.succeeded(b.a0, 100, {}, 60));
    for (std::size_t job = 3; job <= 4; ++job) static_cast<void>(b.fail_then_succeed(b.a0, job));
    REQUIRE(b.blame.fenced(b.a0));
    b.blame.pass_time(60);
    CHECK(b.blame.may_work(b.a0) == (successes == 16));  // fenced at 0 in this bench: a rest of 60 s, else of 120 s
  }
}

TEST_CASE("blame: a trial that succeeds on a fenced node lifts the node's fence, not that of its other devices") {
  Bench b;
  for (const auto d : {b.a0, b.a1}) {
    for (std::size_t job = 1; job <= 2; ++job) static_cast<void>(b.fail_then_succeed(d, job));
  }
  REQUIRE(b.blame.fenced(b.a2));
  b.blame.pass_time(60);
  CHECK_FALSE(b.blame.may_work(b.a2));  // it rests with its node
  b.blame.began(b.a0);
  CHECK(b.blame.succeeded(b.a0, 9, {}, 61).size() == 2);
  CHECK(b.blame.may_work(b.a2));
  CHECK(b.blame.fenced(b.a1));
}

TEST_CASE("blame: the rest of a fence of an earlier life begins with this one") {
  for (const bool whole_node : {false, true}) {
    DeviceBlame blame;
    if (whole_node) blame.restore_fence("", "a");
    else blame.restore_fence("a/gpu0", "");
    blame.pass_time(1e6);
    const auto a0 = blame.join("a/gpu0", "a");
    blame.pass_time(1e6 + 59);
    CHECK_FALSE(blame.may_work(a0));
    blame.pass_time(1e6 + 60);
    CHECK(blame.may_work(a0));
  }
}

TEST_CASE("blame: untried devices are the live ones that may work") {
  Bench b;
  CHECK(b.blame.untried({"a/gpu0", "gone/gpu9"}) == 3);
  b.blame.leave(b.b0);
  CHECK(b.blame.untried({"a/gpu0"}) == 2);
}

}  // namespace guda::orchestrator
