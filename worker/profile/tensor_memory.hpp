#pragma once
// How much memory tensors take at most.
#include <c10/util/ThreadLocalDebugInfo.h>

#include <cstdint>
#include <memory>

namespace guda::worker {

/// Counts the bytes of CPU tensors that this thread makes and frees while the meter lives (LibTorch's memory reports,
/// c10/core/Allocator.h). Tensors that were there before count as nothing. Meters of one thread nest.
class TensorMemory {
 public:
  TensorMemory();
  ~TensorMemory();
  [[nodiscard]] std::int64_t bytes() const;  ///< now
  [[nodiscard]] std::int64_t peak() const;   ///< most at any time

 private:
  struct Meter;
  struct Quiet;
  std::shared_ptr<Meter> meter_;
  std::unique_ptr<Quiet> quiet_;
  c10::DebugInfoGuard guard_;
};

}  // namespace guda::worker
