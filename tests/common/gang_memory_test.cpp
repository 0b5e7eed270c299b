#include "common/gang_memory.hpp"

#include <doctest/doctest.h>

#include <fstream>

#include "common/protocol.hpp"
#include "tests/support/scratch_folder.hpp"

namespace guda {
namespace {

void leave(const std::string& name) { std::ofstream("/dev/shm/" + name) << "x"; }
bool there(const std::string& name) { return std::filesystem::exists("/dev/shm/" + name); }

}  // namespace

TEST_CASE("gang memory: names differ by run, life, job and attempt, and by nothing else") {
  const std::string name = gang_memory_name("/a/run", 1, {2, 3});
  CHECK(name == gang_memory_name("/a/./run", 1, {2, 3}));
  CHECK(is_gang_memory_name(name));
  CHECK(name != gang_memory_name("/a/other", 1, {2, 3}));
  CHECK(name != gang_memory_name("/a/run", 2, {2, 3}));
  CHECK(name != gang_memory_name("/a/run", 1, {3, 3}));
  CHECK(name != gang_memory_name("/a/run", 1, {2, 4}));
  CHECK(gang_memory_name("/a/run", 1, {11, 1}) != gang_memory_name("/a/run", 11, {1, 1}));
}

TEST_CASE("gang memory: what other lives of this run left is removed, nothing else") {
  const test::ScratchFolder mine, others;
  const std::string old = gang_memory_name(mine.path(), 1, {0, 1}), now = gang_memory_name(mine.path(), 12, {0, 1}),
                    foreign = gang_memory_name(others.path(), 1, {0, 1});
  for (const std::string& name : {old, now, foreign}) leave(name);
  remove_gang_memory_of(mine.path(), 12);
  CHECK_FALSE(there(old));
  CHECK(there(now));
  CHECK(there(foreign));
  remove_gang_memory_of(mine.path(), 0);
  CHECK_FALSE(there(now));
  remove_gang_memory(foreign);
  CHECK_FALSE(there(foreign));
  remove_gang_memory(foreign);  // gone already
}

}  // namespace guda
