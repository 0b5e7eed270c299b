#include "orchestrator/run_lock.hpp"

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "common/error.hpp"
#include "common/process.hpp"
#include "tests/support/scratch_folder.hpp"

namespace guda::orchestrator {

TEST_CASE("run lock: a second owner is refused and told who the first is") {
  const test::ScratchFolder scratch;
  RunLock first(scratch / "lock");
  CHECK_THROWS_WITH_AS(RunLock(scratch / "lock"), doctest::Contains(("pid " + std::to_string(::getpid())).c_str()), Error);
}

TEST_CASE("run lock: a released lock is free, its epoch is kept") {
  const test::ScratchFolder scratch;
  {
    RunLock first(scratch / "lock");
    first.set_epoch(4);
  }
  RunLock second(scratch / "lock");
  CHECK(read_lock(scratch / "lock")->epoch == 4);
}

TEST_CASE("run lock: the lock of a killed owner is taken over") {
  const test::ScratchFolder scratch;
  const pid_t child = ::fork();
  if (child == 0) {
    static RunLock held(scratch / "lock");
    ::pause();
    ::_exit(0);
  }
  for (int i = 0; i < 200 && !read_lock(scratch / "lock"); ++i) ::usleep(10'000);
  REQUIRE(read_lock(scratch / "lock"));
  CHECK(owner_alive(*read_lock(scratch / "lock")));
  CHECK_THROWS_AS(RunLock(scratch / "lock"), Error);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  CHECK_FALSE(owner_alive(*read_lock(scratch / "lock")));
  RunLock next(scratch / "lock");
}

TEST_CASE("run lock: an owner on another host counts as alive until it has been silent for five minutes") {
  LockInfo info;
  info.host = "another-host";
  info.boot = "another-boot";
  info.pid = 42;
  info.age = 10;
  CHECK(owner_alive(info));
  info.age = 301;
  CHECK_FALSE(owner_alive(info));
}

TEST_CASE("run lock: an owner whose lock was replaced notices at its next renewal") {
  const test::ScratchFolder scratch;
  RunLock first(scratch / "lock");
  CHECK(first.renew());
  replace_file(scratch / "lock", "{}");
  CHECK_FALSE(first.renew());
}

}  // namespace guda::orchestrator
