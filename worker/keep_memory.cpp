#include "worker/keep_memory.hpp"

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <c10/util/Exception.h>
#include <malloc.h>

#include <cstdint>
#include <cstdlib>

namespace guda::worker {
namespace {

/// Tensors on plain malloc, aligned by hand. LibTorch's own allocator asks posix_memalign, and glibc cannot give a
/// freed aligned block to the next request of the same size: it cuts a larger one, so that the heap of a network whose
/// activations take megabytes falls into pieces and grows.
class TensorAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(std::size_t n) override {
    if (n == 0) return {nullptr, nullptr, &release, c10::Device(c10::kCPU)};
    void* const whole = std::malloc(n + kAlignment + sizeof(Header));
    if (whole == nullptr) {
      TORCH_CHECK_WITH(OutOfMemoryError, false, "DefaultCPUAllocator: can't allocate memory: you tried to allocate ", n,
                       " bytes");
    }
    const auto first = reinterpret_cast<std::uintptr_t>(whole) + sizeof(Header);
    void* const data = reinterpret_cast<void*>((first + kAlignment - 1) / kAlignment * kAlignment);
    header_of(data) = {whole, n};
    if (c10::memoryProfilingEnabled())
      c10::reportMemoryUsageToProfiler(data, static_cast<std::int64_t>(n), 0, 0, c10::Device(c10::kCPU));
    return {data, data, &release, c10::Device(c10::kCPU)};
  }
  [[nodiscard]] c10::DeleterFnPtr raw_deleter() const override { return &release; }
  void copy_data(void* to, const void* from, std::size_t count) const override { default_copy_data(to, from, count); }

 private:
  static constexpr std::uintptr_t kAlignment = 64;
  struct Header {
    void* whole;
    std::size_t size;
  };
  static Header& header_of(void* data) { return static_cast<Header*>(data)[-1]; }
  static void release(void* data) {
    if (data == nullptr) return;
    if (c10::memoryProfilingEnabled()) {
      c10::reportMemoryUsageToProfiler(data, -static_cast<std::int64_t>(header_of(data).size), 0, 0,
                                       c10::Device(c10::kCPU));
    }
    std::free(header_of(data).whole);
  }
};

}  // namespace

void keep_freed_memory() {
  ::mallopt(M_MMAP_THRESHOLD, 1 << 30);
  ::mallopt(M_TRIM_THRESHOLD, -1);  // never
  ::mallopt(M_TOP_PAD, 64 << 20);
  static TensorAllocator allocator;
  c10::SetCPUAllocator(&allocator, /*priority=*/1);
}

}  // namespace guda::worker
