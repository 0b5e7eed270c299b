#include "worker/profile/tensor_memory.hpp"

#include <c10/core/Allocator.h>

#include <algorithm>
#include <unordered_map>

namespace guda::worker {

struct TensorMemory::Meter : c10::MemoryReportingInfoBase {
  std::int64_t now = 0, most = 0;
  std::unordered_map<void*, std::int64_t> mine;

  void reportMemoryUsage(void* where, std::int64_t size, std::size_t, std::size_t, c10::Device device) override {
    if (!device.is_cpu()) return;
    if (size > 0) {
      mine[where] = size;
      now += size;
      most = std::max(most, now);
    } else if (const auto found = mine.find(where); found != mine.end()) {
      now -= found->second;
      mine.erase(found);
    }
  }
  [[nodiscard]] bool memoryProfilingEnabled() const override { return true; }
};

TensorMemory::TensorMemory() : meter_(std::make_shared<Meter>()), guard_(c10::DebugInfoKind::PROFILER_STATE, meter_) {}

std::int64_t TensorMemory::bytes() const { return meter_->now; }
std::int64_t TensorMemory::peak() const { return meter_->most; }

}  // namespace guda::worker
