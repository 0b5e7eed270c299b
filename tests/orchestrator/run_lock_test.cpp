#include "orchestrator/run_lock.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <ctime>
#include <thread>

#include "common/error.hpp"
#include "common/process.hpp"
#include "tests/support/scratch_folder.hpp"

namespace guda::orchestrator {

TEST_CASE("run lock: a second owner is refused and told who the first is") {
  const test::ScratchFolder scratch;
  RunLock first(scratch / "lock");
  CHECK_THROWS_WITH_AS(RunLock(scratch / "lock"), doctest::Contains(("pid " + std::to_string(::getpid())).c_str()),
                       Error);
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

TEST_CASE(
    "run lock: a silent owner on another host is only believed to be gone after nobody renewed its sign while we "
    "watched") {
  const test::ScratchFolder scratch;
  const auto lock = scratch / "lock";
  const std::string other =
      R"({"epoch": 3, "host": "h", "boot": "b", "user": "u", "pid": 7, "pid_start": 1, "slurm_job": "", "slurm_restarts": "", "nonce": "x"})";
  const auto set_age = [&](long seconds) {
    const timespec times[2] = {{::time(nullptr) - seconds, 0}, {::time(nullptr) - seconds, 0}};
    REQUIRE(::utimensat(AT_FDCWD, lock.c_str(), times, 0) == 0);
  };
  replace_file(lock, other);
  set_age(20);
  CHECK_THROWS_WITH_AS(RunLock(lock, 0.2), doctest::Contains("u@h pid 7"), Error);
  SUBCASE("it comes back while we watch") {
    set_age(400);
    std::jthread owner([&] {
      ::usleep(300'000);
      set_age(399);
    });
    CHECK_THROWS_WITH_AS(RunLock(lock, 5), doctest::Contains("after all"), Error);
  }
  SUBCASE("it does not") {
    set_age(400);
    RunLock taken(lock, 0.3);
    CHECK(read_lock(lock)->epoch == 3);
    CHECK(is_local(*read_lock(lock)));
  }
  SUBCASE("its sign comes from the future: a clock was set, and that proves nothing") {
    set_age(-90000);
    CHECK_THROWS_WITH_AS(RunLock(lock, 0.2), doctest::Contains("touch"), Error);
  }
}

TEST_CASE("run lock: a lock that can't be written says where and what to do") {
  CHECK_THROWS_WITH_AS(RunLock("/proc/lock"), doctest::Contains("/proc/lock"), IoError);
}

}  // namespace guda::orchestrator
