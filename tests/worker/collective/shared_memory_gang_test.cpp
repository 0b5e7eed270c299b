#include "worker/collective/shared_memory_gang.hpp"

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <thread>
#include <vector>

#include "common/error.hpp"
#include "tests/support/gang_of_threads.hpp"

using namespace guda;
using namespace guda::worker;

namespace {

bool named(const std::string& memory) { return std::filesystem::exists("/dev/shm/" + memory); }

template <class T>
bool threw(const std::exception_ptr& e) {
  if (!e) return false;
  try {
    std::rethrow_exception(e);
  } catch (const T&) {
    return true;
  } catch (...) {
    return false;
  }
}

}  // namespace

TEST_CASE("gang: sums are those in the order of ranks, the same bits for all, however long the vector is") {
  constexpr std::uint32_t kMembers = 3;
  for (const std::size_t numbers : {std::size_t{1}, std::size_t{1000}, (std::size_t{1} << 18) * 3 + 17}) {
    std::vector<std::vector<float>> values(kMembers, std::vector<float>(numbers));
    for (std::uint32_t r = 0; r < kMembers; ++r) {
      for (std::size_t i = 0; i < numbers; ++i) values[r][i] = 1.0F / static_cast<float>(1 + r + i % 997);
    }
    std::vector<float> sum = values[0];
    for (std::uint32_t r = 1; r < kMembers; ++r) {
      for (std::size_t i = 0; i < numbers; ++i) sum[i] += values[r][i];
    }
    test::rethrow_first(test::gang_of_threads(kMembers, [&](Gang& gang) {
      for (int again = 0; again < 3; ++again) {
        std::vector<float> mine = values[gang.rank()];
        gang.all_reduce(mine);
        values[gang.rank()] = again < 2 ? values[gang.rank()] : mine;
      }
    }));
    for (const auto& v : values) CHECK(v == sum);
  }
}

TEST_CASE("gang: everybody gets the root's bytes, bit by bit") {
  constexpr std::size_t kBytes = (std::size_t{5} << 20) + 3;
  std::vector<std::vector<std::byte>> bytes(2, std::vector<std::byte>(kBytes));
  for (std::size_t i = 0; i < kBytes; ++i) bytes[0][i] = static_cast<std::byte>(i * 31 % 251);
  test::rethrow_first(test::gang_of_threads(2, [&](Gang& gang) {
    gang.broadcast(bytes[gang.rank()]);
    gang.broadcast(bytes[gang.rank()]);
  }));
  CHECK((bytes[0] == bytes[1]));
  CHECK((bytes[1][kBytes - 1] == static_cast<std::byte>((kBytes - 1) * 31 % 251)));
}

TEST_CASE("gang: its memory has no name any more once all have come") {
  const std::string memory = test::fresh_gang_memory();
  std::jthread other([&] {
    const auto gang = join_gang({memory, 1, 2}, {60});
    gang->barrier();
  });
  const auto gang = join_gang({memory, 0, 2}, {60});
  CHECK_FALSE(named(memory));
  gang->barrier();
}

TEST_CASE("gang: when a member leaves, the others that wait for it are broken; those that have met go on") {
  const auto thrown = test::gang_of_threads(3, [](Gang& gang) {
    gang.barrier();
    if (gang.rank() == 1) throw Error("on purpose");
    gang.barrier();
  });
  CHECK(threw<Error>(thrown[1]));
  CHECK(threw<GangBroken>(thrown[0]));
  CHECK(threw<GangBroken>(thrown[2]));
  // A member that leaves after the last meeting breaks nobody.
  for (int i = 0; i < 50; ++i) {
    test::rethrow_first(test::gang_of_threads(3, [](Gang& gang) { gang.barrier(); }));
  }
}

TEST_CASE("gang: a member whose process is killed breaks the others at once") {
  const std::string memory = test::fresh_gang_memory();
  const pid_t child = ::fork();
  if (child == 0) {
    try {
      const auto gang = join_gang({memory, 1, 2}, {60});
      while (true) ::pause();
    } catch (...) {
    }
    ::_exit(1);
  }
  const auto gang = join_gang({memory, 0, 2}, {1e9});
  ::kill(child, SIGKILL);
  CHECK_THROWS_AS(gang->barrier(), GangBroken);
  ::waitpid(child, nullptr, 0);
  CHECK_FALSE(named(memory));
}

TEST_CASE("gang: a member that never comes, or keeps the others waiting, is named") {
  const std::string memory = test::fresh_gang_memory();
  CHECK_THROWS_WITH_AS(static_cast<void>(join_gang({memory, 0, 2}, {0.05})),
                       doctest::Contains("member 2 of a gang of 2 has not come"), IoError);
  remove_gang_memory(memory);
  std::atomic<bool> over = false;
  const std::string another = test::fresh_gang_memory();
  std::jthread idler([&] {
    const auto gang = join_gang({another, 1, 2}, {60});
    while (!over) std::this_thread::yield();
  });
  {
    const auto gang = join_gang({another, 0, 2}, {0.05});
    CHECK_THROWS_WITH_AS(gang->barrier(), doctest::Contains("member 2 of a gang of 2 has kept the others waiting"),
                         IoError);
  }
  over = true;
}

TEST_CASE("gang: whoever waits can be called away, and the others hear of it") {
  struct Away {};
  const std::string memory = test::fresh_gang_memory();
  std::atomic<bool> left = false;
  std::exception_ptr waiting;
  std::jthread other([&] {
    try {
      const auto gang = join_gang({memory, 1, 2}, {60});
      gang->barrier();
      while (!left) std::this_thread::yield();
      gang->barrier();  // the one that left had come
      gang->barrier();
    } catch (...) {
      waiting = std::current_exception();
    }
  });
  {
    bool away = false;
    const auto gang = join_gang({memory, 0, 2}, {60, [&] {
                                                   if (away) throw Away{};
                                                 }});
    gang->barrier();
    away = true;
    CHECK_THROWS_AS(gang->barrier(), Away);
  }
  left = true;
  other.join();
  CHECK(threw<GangBroken>(waiting));
}
