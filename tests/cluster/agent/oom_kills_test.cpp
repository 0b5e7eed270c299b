#include "cluster/agent/oom_kills.hpp"

#include <doctest/doctest.h>

#include <fstream>

#include "tests/support/scratch_folder.hpp"

namespace guda::cluster {
namespace {

void write(const std::filesystem::path& file, const std::string& text) {
  std::filesystem::create_directories(file.parent_path());
  std::ofstream(file) << text;
}

}  // namespace

TEST_CASE("oom kills: the control group's own counter is read, else the machine's, else nothing is claimed") {
  const test::ScratchFolder scratch;
  const auto proc = scratch.path() / "proc", cgroups = scratch.path() / "cgroup";
  CHECK(oom_kills(proc, cgroups) == 0);
  write(proc / "vmstat", "nr_free_pages 12\noom_kill 7\nnuma_hit 3\n");
  CHECK(oom_kills(proc, cgroups) == 7);
  write(proc / "self" / "cgroup", "12:memory:/old\n0::/job/step_0\n");
  write(cgroups / "memory/old/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 5\n");
  CHECK(oom_kills(proc, cgroups) == 5);
  write(cgroups / "job/step_0/memory.events", "low 0\nhigh 0\nmax 31\noom 4\noom_kill 3\n");
  CHECK(oom_kills(proc, cgroups) == 3);
}

}  // namespace guda::cluster
