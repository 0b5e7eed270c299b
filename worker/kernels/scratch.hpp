#pragma once
// Memory for one call of a kernel. Only for the sources of kernels.hpp, as lanes.hpp.
#include <cstdlib>

#include "worker/kernels/lanes.hpp"

namespace guda::worker::kernels::GUDA_ISA {
namespace {

inline std::int64_t round_up(std::int64_t n, std::int64_t unit) { return (n + unit - 1) / unit * unit; }

/// Uninitialised memory, aligned for vectors.
template <class T>
class Scratch {
 public:
  explicit Scratch(std::int64_t n)
      : data_(static_cast<T*>(
            std::aligned_alloc(64, static_cast<std::size_t>(round_up(n * std::int64_t{sizeof(T)} + 1, 64))))) {
    if (data_ == nullptr) std::abort();
  }
  ~Scratch() { std::free(data_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  operator T*() const { return data_; }

 private:
  T* data_;
};

GUDA_INLINE void clear(float* to, std::int64_t n) { std::memset(to, 0, static_cast<std::size_t>(n) * sizeof(float)); }
GUDA_INLINE void copy(float* to, const float* from, std::int64_t n) {
  std::memcpy(to, from, static_cast<std::size_t>(n) * sizeof(float));
}

}  // namespace
}  // namespace guda::worker::kernels::GUDA_ISA
