#include "cluster/gpu_booking.hpp"

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "tests/support/scratch_folder.hpp"

namespace guda::cluster {

TEST_CASE("gpu booking: a GPU is held by one run, and free again when its holder is killed") {
  const test::ScratchFolder folder;
  int ready[2];
  REQUIRE(::pipe(ready) == 0);
  const pid_t other = ::fork();
  if (other == 0) {
    const GpuBooking held = book_gpu("GPU-1", 0, 1, "runs/other", folder.path());
    const char mark = held.objection.empty() ? 'y' : 'n';
    static_cast<void>(!::write(ready[1], &mark, 1));
    ::pause();
    ::_exit(0);
  }
  char mark = 0;
  REQUIRE(::read(ready[0], &mark, 1) == 1);
  REQUIRE(mark == 'y');
  const std::string objection = book_gpu("GPU-1", 0, 1, "runs/mine", folder.path(), 0).objection;
  CHECK(objection.starts_with("GPU-1 is held by another run on this node (runs/other, process "));
  CHECK(objection.find("Cure:") != std::string::npos);
  CHECK_FALSE(book_gpu("GPU-1", 0, 2, "runs/mine", folder.path(), 0).objection.empty());
  CHECK(book_gpu("GPU-2", 0, 1, "runs/mine", folder.path(), 0).objection.empty());
  ::kill(other, SIGKILL);
  ::waitpid(other, nullptr, 0);
  CHECK(book_gpu("GPU-1", 0, 1, "runs/mine", folder.path(), 0).objection.empty());
}

TEST_CASE("gpu booking: workers that may share a GPU have a place each, and nobody gets the whole of it") {
  const test::ScratchFolder folder;
  const GpuBooking first = book_gpu("MIG-1", 0, 2, "a", folder.path()),
                   second = book_gpu("MIG-1", 1, 2, "a", folder.path());
  CHECK(first.objection.empty());
  CHECK(second.objection.empty());
  CHECK_FALSE(book_gpu("MIG-1", 1, 2, "b", folder.path(), 0).objection.empty());
  CHECK_FALSE(book_gpu("MIG-1", 0, 1, "b", folder.path(), 0).objection.empty());
}

TEST_CASE("gpu booking: where no lock can be kept a run goes on without") {
  CHECK(book_gpu("GPU-1", 0, 1, "a", "/no/such/folder").objection.empty());
}

}  // namespace guda::cluster
