#include "common/process.hpp"

#include <doctest/doctest.h>
#include <sys/wait.h>

using namespace guda;

namespace {

std::string end_of(SpawnOptions options) {
  int status = 0;
  const pid_t pid = spawn(options);
  REQUIRE(::waitpid(pid, &status, 0) == pid);
  return describe_wait_status(status);
}

}  // namespace

TEST_CASE("process: a child ignores SIGUSR2 from its first instruction on when asked to, and dies of it otherwise") {
  SpawnOptions options{.arguments = {"/bin/sh", "-c", "kill -USR2 $$; exit 7"}};
  CHECK(end_of(options).find("killed by signal 12") != std::string::npos);
  options.ignore_usr2 = true;
  CHECK(end_of(options) == "exited with 7");
}
