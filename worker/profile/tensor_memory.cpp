#include "worker/profile/tensor_memory.hpp"

#include <c10/core/Allocator.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <string>
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

/// LibTorch warns of every older tensor that is freed: that is expected here.
struct TensorMemory::Quiet : c10::WarningHandler {
  c10::WarningHandler* before = c10::WarningUtils::get_warning_handler();
  Quiet() { c10::WarningUtils::set_warning_handler(this); }
  ~Quiet() override { c10::WarningUtils::set_warning_handler(before); }
  void process(const c10::Warning& warning) override {
    if (warning.msg().find("before the profiling started") == std::string::npos) before->process(warning);
  }
};

TensorMemory::TensorMemory()
    : meter_(std::make_shared<Meter>()),
      quiet_(std::make_unique<Quiet>()),
      guard_(c10::DebugInfoKind::PROFILER_STATE, meter_) {}
TensorMemory::~TensorMemory() = default;

std::int64_t TensorMemory::bytes() const { return meter_->now; }
std::int64_t TensorMemory::peak() const { return meter_->most; }

}  // namespace guda::worker
