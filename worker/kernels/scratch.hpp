#pragma once
// Memory for one call of a kernel. Only for the sources of kernels.hpp, as lanes.hpp.
#include <cstdlib>

#include "worker/kernels/lanes.hpp"

namespace guda::worker::kernels::GUDA_ISA {
namespace {

inline std::int64_t round_up(std::int64_t n, std::int64_t unit) { return (n + unit - 1) / unit * unit; }

/// Memory that this thread's kernels use again and again, rather than ask for it anew in every call. Last in, first
/// out.
class Arena {
 public:
  Arena() = default;
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;
  ~Arena() { std::free(memory_); }

  void* take(std::int64_t bytes) {
    if (used_ == 0 && wanted_ > size_) {
      std::free(memory_);
      memory_ = allocate(wanted_);
      size_ = wanted_;
    }
    used_ += bytes;
    if (used_ > wanted_) wanted_ = used_;
    return used_ <= size_ ? memory_ + used_ - bytes : allocate(bytes);  // the next call finds room for all
  }
  void give_back(void* data, std::int64_t bytes) {
    if (used_ > size_) std::free(data);
    used_ -= bytes;
  }

 private:
  static char* allocate(std::int64_t bytes) {
    void* const memory = std::aligned_alloc(64, static_cast<std::size_t>(bytes));
    if (memory == nullptr) std::abort();
    return static_cast<char*>(memory);
  }

  char* memory_ = nullptr;
  std::int64_t size_ = 0, used_ = 0, wanted_ = 0;
};

inline thread_local Arena arena;

/// Uninitialised memory, aligned for vectors. Goes in the reverse order of its making, as scopes have it.
template <class T>
class Scratch {
 public:
  explicit Scratch(std::int64_t n)
      : bytes_(round_up(n * std::int64_t{sizeof(T)} + 1, 64)), data_(static_cast<T*>(arena.take(bytes_))) {}
  ~Scratch() { arena.give_back(data_, bytes_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  operator T*() const { return data_; }

 private:
  std::int64_t bytes_;
  T* data_;
};

GUDA_INLINE void clear(float* to, std::int64_t n) { std::memset(to, 0, static_cast<std::size_t>(n) * sizeof(float)); }
/// Asks for n floats that will be read soon.
GUDA_INLINE void fetch(const float* from, std::int64_t n) {
  for (std::int64_t i = 0; i < n; i += 16) __builtin_prefetch(from + i);
}
GUDA_INLINE void copy(float* to, const float* from, std::int64_t n) {
  std::memcpy(to, from, static_cast<std::size_t>(n) * sizeof(float));
}

}  // namespace
}  // namespace guda::worker::kernels::GUDA_ISA
