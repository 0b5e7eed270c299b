#pragma once
// A gang whose members are threads of the test.
#include <ATen/Parallel.h>
#include <unistd.h>

#include <cstdint>
#include <exception>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "common/gang_memory.hpp"
#include "worker/collective/shared_memory_gang.hpp"

namespace guda::test {

/// A name that no other test has.
inline std::string fresh_gang_memory() {
  static std::uint32_t count = 0;
  return gang_memory_name("/test/" + std::to_string(::getpid()), 1, {++count, 1});
}

/// Calls `member(gang)` in `size` threads; what each of them threw, by rank.
inline std::vector<std::exception_ptr> gang_of_threads(
    std::uint32_t size, const std::function<void(worker::Gang&)>& member,
    const std::function<void()>& while_waiting = [] {}) {
  const std::string memory = fresh_gang_memory();
  std::vector<std::exception_ptr> thrown(size);
  {
    std::vector<std::jthread> threads;
    for (std::uint32_t rank = 0; rank < size; ++rank) {
      threads.emplace_back([&, rank] {
        at::set_num_threads(1);
        try {
          const auto gang = worker::join_gang({memory, rank, size}, {60, while_waiting});
          member(*gang);
        } catch (...) {
          thrown[rank] = std::current_exception();
        }
      });
    }
  }
  remove_gang_memory(memory);
  return thrown;
}

/// Rethrows what a member threw.
inline void rethrow_first(const std::vector<std::exception_ptr>& thrown) {
  for (const std::exception_ptr& e : thrown) {
    if (e) std::rethrow_exception(e);
  }
}

}  // namespace guda::test
