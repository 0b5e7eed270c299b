#include "common/capture.hpp"

#include <doctest/doctest.h>

#include <chrono>

#include "common/error.hpp"

namespace guda {

TEST_CASE("capture: both streams and the exit code of a program are kept") {
  const Captured c = capture({"sh", "-c", "echo out; echo err >&2; exit 7"}, 20);
  CHECK(c.exit_code == 7);
  CHECK(c.output.find("out") != std::string::npos);
  CHECK(c.output.find("err") != std::string::npos);
  CHECK_FALSE(c.timed_out);
}

TEST_CASE("capture: a program that hangs is killed with its children, also one that closed its output") {
  for (const char* script : {"sleep 600", "exec >/dev/null 2>&1; sleep 600 & sleep 600"}) {
    const Captured c = capture({"sh", "-c", script}, 0.3);
    CHECK(c.timed_out);
    CHECK(c.exit_code == -1);
  }
}

TEST_CASE("capture: a missing program and a failed one say what went wrong") {
  CHECK_THROWS_AS(static_cast<void>(capture({"/nonexistent/program"}, 5)), Error);
  try {
    static_cast<void>(first_line_of({"sh", "-c", "echo no license; exit 3"}, 5));
    FAIL("must throw");
  } catch (const Error& e) {
    CHECK(std::string(e.what()) == "sh exited with 3: no license\n");
  }
  CHECK(find_on_path("sh").ends_with("/sh"));
  CHECK(find_on_path("no-such-program-of-ours").empty());
}

}  // namespace guda
