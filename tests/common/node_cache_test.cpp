#include "common/node_cache.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <optional>
#include <random>
#include <thread>
#include <vector>

#include "common/checksums.hpp"
#include "common/clock.hpp"
#include "common/error.hpp"
#include "common/full_disk.hpp"
#include "common/json.hpp"
#include "tests/support/scratch_folder.hpp"

namespace guda {
namespace {

namespace fs = std::filesystem;

std::string content_of(const std::string& name, std::size_t bytes) {
  std::string content(bytes, '\0');
  std::mt19937 random(static_cast<unsigned>(query_id(name)));
  for (char& c : content) c = static_cast<char>(random());
  return content;
}

/// A shared folder with artifacts, and the disk of a node.
struct Node {
  test::ScratchFolder folder;
  fs::path shared = folder / "shared";
  NodeCachePlace place{folder / "node", 1'000'000'000, true, ""};
  std::vector<std::string> notes;

  Digest artifact(const std::string& name, std::size_t bytes) const {
    const Digest digest = digest_of(name);
    fs::create_directories(shared / digest.hex / "unet");
    replace_file(shared / digest.hex / "unet" / "weights", content_of(name, bytes), false);
    replace_file(shared / digest.hex / "guda.json", "{}", false);
    write_checksums(shared / digest.hex);
    return digest;
  }
  [[nodiscard]] fs::path source(const Digest& digest) const { return shared / digest.hex; }
  [[nodiscard]] std::function<void(const std::string&)> note() {
    return [this](const std::string& line) { notes.push_back(line); };
  }
  /// Where the cache keeps its entries.
  [[nodiscard]] fs::path inside() const {
    for (const auto& entry : fs::recursive_directory_iterator(place.folder))
      if (entry.path().filename() == "users.lock") return entry.path().parent_path();
    FAIL("no cache was opened");
    return {};
  }
  [[nodiscard]] std::vector<std::string> entries() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(inside()))
      if (entry.is_directory()) names.push_back(entry.path().filename().string());
    std::sort(names.begin(), names.end());
    return names;
  }
};

pid_t in_child(const std::function<int()>& work) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    int code = 99;
    try {
      code = work();
    } catch (...) {
    }
    ::_exit(code);
  }
  return pid;
}

int code_of(pid_t pid) {
  int status = 0;
  ::waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

bool eventually(const std::function<bool()>& condition) {
  for (const double until = steady_seconds() + 60; steady_seconds() < until;) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return false;
}

}  // namespace

TEST_CASE("node cache: of several processes one reads the shared folder, the others find its copy") {
  Node node;
  const Digest digest = node.artifact("weights", 3 << 20);
  std::vector<pid_t> children;
  for (int i = 0; i < 4; ++i) {
    children.push_back(in_child([&] {
      NodeCache cache(node.place, {});
      const auto entry = cache.artifact(node.source(digest), digest);
      const bool local = entry.path() != node.source(digest);
      const bool whole = check_checksums(entry.path()).empty();
      const NodeCacheUse use = cache.use();
      if (!local || !whole || (use.read > 0) == (use.found > 0)) return 50;
      return use.read > 0 ? 1 : 0;
    }));
  }
  int readers = 0;
  for (const pid_t child : children) {
    const int code = code_of(child);
    REQUIRE(code <= 1);
    readers += code;
  }
  CHECK(readers == 1);
  CHECK(node.entries() == std::vector<std::string>{digest.hex});
}

TEST_CASE("node cache: who wants what another one is still reading does not wait for its end") {
  Node node;
  const Digest digest = node.artifact("weights", 3 << 20);
  // The second comes while the first copies, and the first keeps what it got.
  NodeCache mine(node.place, {});
  std::optional<NodeCache::Entry> kept;
  std::thread first([&] { kept.emplace(mine.artifact(node.source(digest), digest)); });
  NodeCache other(node.place, {});
  const double begin = steady_seconds();
  const auto entry = other.artifact(node.source(digest), digest);
  first.join();
  CHECK(entry.path() == kept->path());
  CHECK(entry.path() != node.source(digest));
  CHECK(steady_seconds() - begin < NodeCache::kPatience / 2);
}

TEST_CASE("node cache: a reader killed in the middle of a copy leaves nothing that is taken for whole") {
  Node node;
  const Digest digest = node.artifact("weights", 1 << 20);
  const fs::path file = node.source(digest) / "unet" / "weights";
  const std::string content = read_file(file);
  // A pipe in place of the file: the copy stands in its middle for as long as we like.
  fs::remove(file);
  REQUIRE(::mkfifo(file.c_str(), 0600) == 0);
  const pid_t child = in_child([&] {
    NodeCache cache(node.place, {});
    return cache.artifact(node.source(digest), digest).path().empty() ? 1 : 0;
  });
  const Fd pipe = open_file(file, O_WRONLY);
  write_all(pipe.get(), std::string_view(content).substr(0, content.size() / 2), file);
  REQUIRE(eventually([&] { return fs::exists(node.place.folder) && node.entries().size() == 1; }));
  // Another process waits for the first, and takes over when that one is gone.
  const pid_t waiter = in_child([&] {
    NodeCache cache(node.place, {});
    int asked = 0;
    const auto entry = cache.artifact(node.source(digest), digest, [&] { ++asked; });
    return asked > 0 && cache.use().read > content.size() && check_checksums(entry.path()).empty() ? 7 : 1;
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  fs::remove(file);
  replace_file(file, content, false);
  REQUIRE(::kill(child, SIGKILL) == 0);
  CHECK(code_of(child) == 128 + SIGKILL);
  CHECK(code_of(waiter) == 7);
  CHECK(node.entries() == std::vector<std::string>{digest.hex});
}

TEST_CASE("node cache: processes killed at random instants never leave a torn copy") {
  Node node;
  std::vector<Digest> digests;
  for (int i = 0; i < 4; ++i) digests.push_back(node.artifact(fmt::format("artifact {}", i), 2 << 20));
  node.place.most = 5 << 20;  // two at a time: they drive each other out
  std::mt19937 random(3);
  for (int round = 0; round < 25; ++round) {
    std::vector<pid_t> children;
    for (int c = 0; c < 3; ++c) {
      children.push_back(in_child([&, c] {
        NodeCache cache(node.place, {});
        for (int i = 0; i < 200; ++i) {
          const Digest& digest = digests[static_cast<std::size_t>(i + c + round) % digests.size()];
          const auto entry = cache.artifact(node.source(digest), digest);
          if (!check_checksums(entry.path()).empty()) return 50;
        }
        return 0;
      }));
    }
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 20'000));
    for (const pid_t child : children) ::kill(child, SIGKILL);
    for (const pid_t child : children) CHECK(code_of(child) != 50);
    for (const std::string& name : node.entries()) {
      if (name.size() == 32) CHECK_MESSAGE(check_checksums(node.inside() / name).empty(), name);
    }
  }
  NodeCache cache(node.place, {});
  for (const Digest& digest : digests)
    CHECK(check_checksums(cache.artifact(node.source(digest), digest).path()).empty());
}

TEST_CASE("node cache: what is not as its checksums say is refused, and what is mended is taken") {
  Node node;
  const Digest digest = node.artifact("weights", 1 << 20);
  const fs::path file = node.source(digest) / "unet" / "weights";
  const std::string content = read_file(file);
  NodeCache cache(node.place, node.note());
  const auto refusal = [&] {
    try {
      static_cast<void>(cache.artifact(node.source(digest), digest));
    } catch (const IoError& e) {
      return std::string(e.what());
    }
    return std::string("taken");
  };
  std::string flipped = content;
  flipped[content.size() / 3] ^= 1;
  replace_file(file, flipped, false);
  CHECK(refusal().find("has other content than when it was published. Cure: guda verify --repair") !=
        std::string::npos);
  replace_file(file, content.substr(0, 1000), false);
  CHECK(refusal().find("has 1000 bytes instead of 1048576") != std::string::npos);
  replace_file(file, content + "more", false);
  CHECK(refusal().find("has 1048580 bytes instead of 1048576") != std::string::npos);
  fs::remove(file);
  CHECK(refusal().find("cannot open") != std::string::npos);
  CHECK(node.entries().empty());
  replace_file(file, content, false);
  CHECK(refusal() == "taken");
  CHECK(node.entries().size() == 1);
}

TEST_CASE("node cache: on a full disk, and beyond its size, artifacts are read where they lie") {
  Node node;
  const Digest small = node.artifact("small", 1 << 20), large = node.artifact("large", 4 << 20);
  node.place.most = 3 << 20;
  NodeCache cache(node.place, node.note());
  {
    const FullDisk full;
    CHECK(cache.artifact(node.source(small), small).path() == node.source(small));
  }
  CHECK(node.entries().empty());
  CHECK(node.notes.back().find("No space left") != std::string::npos);
  CHECK(cache.artifact(node.source(large), large).path() == node.source(large));
  CHECK(node.notes.back().find("no room") != std::string::npos);
  CHECK(cache.artifact(node.source(small), small).path() != node.source(small));
  CHECK(cache.use().read > 1 << 20);
}

TEST_CASE("node cache: a disk that is too small for its size is used as far as it goes") {
  Node node;
  fs::create_directories(node.place.folder);
  if (::geteuid() != 0 || ::mount("guda", node.place.folder.c_str(), "tmpfs", 0, "size=3m") != 0) {
    MESSAGE("not tried: no right to mount");
    return;
  }
  {
    const Digest one = node.artifact("one", 2 << 20), two = node.artifact("two", 2 << 20),
                 three = node.artifact("three", 6 << 20);
    NodeCache cache(node.place, node.note());
    CHECK(cache.artifact(node.source(one), one).path() != node.source(one));
    CHECK(cache.artifact(node.source(two), two).path() != node.source(two));  // in its place
    CHECK(node.entries() == std::vector<std::string>{two.hex});
    CHECK(cache.artifact(node.source(three), three).path() == node.source(three));
    CHECK(node.entries().empty());
  }
  CHECK(::umount(node.place.folder.c_str()) == 0);
}

TEST_CASE("node cache: what was used longest ago makes room, what is in use stays") {
  Node node;
  const Digest a = node.artifact("a", 1 << 20), b = node.artifact("b", 1 << 20), c = node.artifact("c", 1 << 20),
               d = node.artifact("d", 1 << 20);
  node.place.most = (5 << 20) / 2;
  NodeCache cache(node.place, node.note());
  const auto lies_there = [&](const Digest& digest) { return fs::exists(node.inside() / digest.hex); };
  const auto pause = [] { std::this_thread::sleep_for(std::chrono::milliseconds(20)); };
  auto held = std::optional(cache.artifact(node.source(a), a));
  pause();
  static_cast<void>(cache.artifact(node.source(b), b));
  pause();
  static_cast<void>(cache.artifact(node.source(c), c));  // a is older, but in use
  CHECK(lies_there(a));
  CHECK_FALSE(lies_there(b));
  CHECK(lies_there(c));
  held.reset();
  pause();
  static_cast<void>(cache.artifact(node.source(a), a));  // a is younger than c now
  pause();
  static_cast<void>(cache.artifact(node.source(d), d));
  CHECK(lies_there(a));
  CHECK_FALSE(lies_there(c));
  CHECK(lies_there(d));
}

TEST_CASE("node cache: the last process to leave empties a folder that nobody named") {
  Node node;
  node.place.keep = false;
  const Digest digest = node.artifact("weights", 1000);
  {
    const auto first = std::make_unique<NodeCache>(node.place, node.note());
    static_cast<void>(first->artifact(node.source(digest), digest));
    {
      NodeCache second(node.place, node.note());
    }
    CHECK(node.entries().size() == 1);
  }
  CHECK(node.entries().empty());
}

TEST_CASE("node cache: a folder that others may write to is not used") {
  Node node;
  const Digest digest = node.artifact("weights", 1000);
  const fs::path ours = node.place.folder / fmt::format("guda-cache-{}", ::geteuid());
  fs::create_directories(ours);
  REQUIRE(::chmod(ours.c_str(), 0777) == 0);
  NodeCache cache(node.place, node.note());
  CHECK_FALSE(cache.on());
  CHECK(node.notes.back().find("no folder that only you can write to") != std::string::npos);
  CHECK(cache.artifact(node.source(digest), digest).path() == node.source(digest));
}

TEST_CASE("node cache: it is off on a disk of the node, and where a folder is named it has a size") {
  test::ScratchFolder folder;
  ::unsetenv("GUDA_NODE_CACHE");
  CHECK(network_file_system(folder.path()).empty());
  CHECK(node_cache_place("", 0, folder.path()).folder.empty());
  CHECK(node_cache_place("", 0, folder.path()).why.find("on a disk of this node") != std::string::npos);
  CHECK(node_cache_place("off", 0, folder.path()).folder.empty());
  const NodeCachePlace named = node_cache_place((folder / "not yet").string(), 2.5, folder.path());
  CHECK(named.folder == folder / "not yet");
  CHECK(named.most == 2'500'000'000);
  CHECK(named.keep);
  const NodeCachePlace sized = node_cache_place((folder / "not yet").string(), 0, folder.path());
  CHECK(sized.most > 0);
  CHECK(sized.most <= 64'000'000'000);
  ::setenv("GUDA_NODE_CACHE", "off", 1);
  CHECK(node_cache_place("", 0, folder.path()).why.find("GUDA_NODE_CACHE") != std::string::npos);
  ::unsetenv("GUDA_NODE_CACHE");
}

}  // namespace guda
