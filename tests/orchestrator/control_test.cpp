#include "orchestrator/control.hpp"

#include <doctest/doctest.h>

#include <fstream>

#include "tests/support/scratch_folder.hpp"

namespace guda::orchestrator {

TEST_CASE("control: requests are taken once, in order, and only by the life they are for") {
  const test::ScratchFolder scratch;
  const RunLayout run{scratch.path()};
  CHECK(take_control(run, 1).empty());
  post_control(run, {.kind = ControlRequest::Kind::drain, .epoch = 3, .jobs = {}, .unfence = {}, .by = "a@b"});
  const auto file = post_control(
      run,
      {.kind = ControlRequest::Kind::retry, .epoch = 3, .jobs = {digest_of("x")}, .unfence = {"n/gpu0"}, .by = "c@d"});
  CHECK(std::filesystem::exists(file));
  const auto taken = take_control(run, 3);
  REQUIRE(taken.size() == 2);
  CHECK(taken[0].kind == ControlRequest::Kind::drain);
  CHECK(taken[1].jobs == std::vector<Digest>{digest_of("x")});
  CHECK(taken[1].unfence == std::vector<std::string>{"n/gpu0"});
  CHECK(take_control(run, 3).empty());
  post_control(run, {.kind = ControlRequest::Kind::stop, .epoch = 3, .jobs = {}, .unfence = {}, .by = "a@b"});
  CHECK(take_control(run, 4).empty());  // it was meant for a life that is over
  CHECK(take_control(run, 3).empty());
}

TEST_CASE("control: what is no request is dropped and stops nobody") {
  const test::ScratchFolder scratch;
  const RunLayout run{scratch.path()};
  std::filesystem::create_directory(run.control());
  std::ofstream(run.control() / "1.json") << "{";
  std::ofstream(run.control() / "2.json") << R"({"kind": "explode", "epoch": 1})";
  std::ofstream(run.control() / "3.json.77.partial") << "{";
  CHECK(take_control(run, 1).empty());
  CHECK_FALSE(std::filesystem::exists(run.control() / "2.json"));
  CHECK(std::filesystem::exists(run.control() / "3.json.77.partial"));
}

}  // namespace guda::orchestrator
