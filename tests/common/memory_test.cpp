#include "common/memory.hpp"

#include <doctest/doctest.h>

#include <fstream>
#include <vector>

#include "tests/support/scratch_folder.hpp"

namespace guda {
namespace {

void write(const std::filesystem::path& file, const std::string& text) {
  std::filesystem::create_directories(file.parent_path());
  std::ofstream(file) << text;
}

}  // namespace

TEST_CASE("free memory: what the machine has, or less where a control group or one above it is limited") {
  const test::ScratchFolder scratch;
  const auto proc = scratch.path() / "proc", cgroups = scratch.path() / "cgroup";
  CHECK(free_memory(proc, cgroups) == 0);
  write(proc / "meminfo", "MemTotal:       16000 kB\nMemFree:  100 kB\nMemAvailable:    8000 kB\n");
  CHECK(free_memory(proc, cgroups) == 8000 * 1024);
  write(proc / "self" / "cgroup", "12:memory:/old/step\n3:cpu,cpuacct:/old\n0::/job/step_0\n");
  CHECK(free_memory(proc, cgroups) == 8000 * 1024);
  write(cgroups / "job/step_0/memory.max", "max\n");
  write(cgroups / "job/step_0/memory.current", "123\n");
  CHECK(free_memory(proc, cgroups) == 8000 * 1024);
  write(cgroups / "job/memory.max", "5000000\n");
  write(cgroups / "job/memory.current", "2000000\n");
  CHECK(free_memory(proc, cgroups) == 3000000);
  write(cgroups / "job/memory.stat", "anon 1000000\ninactive_file 400000\nactive_file 600000\n");
  CHECK(free_memory(proc, cgroups) == 3400000);  // pages that the kernel gives up
  write(cgroups / "memory/old/step/memory.limit_in_bytes", "3000000\n");
  write(cgroups / "memory/old/step/memory.usage_in_bytes", "2500000\n");
  CHECK(free_memory(proc, cgroups) == 500000);
  write(cgroups / "memory/old/step/memory.usage_in_bytes", "3100000\n");
  CHECK(free_memory(proc, cgroups) == 0);
}

TEST_CASE("memory: the peak is that of this process, and can begin anew") {
  const std::uint64_t before = peak_memory();
  CHECK(before > (1U << 20));
  {
    std::vector<char> touched(before + (64U << 20), 1);
    CHECK(touched.back() == 1);
  }
  const std::uint64_t high = peak_memory();
  CHECK(high > before);
  reset_peak_memory();
  CHECK(peak_memory() + (32U << 20) < high);
}

TEST_CASE("memory: what is available is more than nothing and less than a petabyte") {
  CHECK(free_memory() > 1e6);
  CHECK(free_memory() < 1e15);
}

}  // namespace guda
