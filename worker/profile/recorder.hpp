#pragma once
// Records every operation of LibTorch, every node of the backward pass and every ProfileSpan, on all threads.
#include <ATen/record_function.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "worker/profile/costs.hpp"

namespace guda::worker {

/// One recording at a time in a process. LibTorch calls back around each operation (ATen/record_function.h), which
/// costs it about two microseconds while a recording lasts and nothing before and after.
class SpanRecorder {
 public:
  /// Begins, after measuring what a span costs. Throws Bug when another one records.
  SpanRecorder();
  SpanRecorder(const SpanRecorder&) = delete;
  SpanRecorder& operator=(const SpanRecorder&) = delete;
  ~SpanRecorder();
  /// Ends, and returns what ended since the beginning, in the order in which it ended. Once.
  [[nodiscard]] std::vector<Span> stop();
  /// Seconds since the beginning.
  [[nodiscard]] double now() const;
  /// What an empty span costs.
  [[nodiscard]] const SpanOverhead& overhead() const { return overhead_; }

 private:
  struct Sink;
  std::unique_ptr<Sink> sink_;
  at::CallbackHandle callback_;
  SpanOverhead overhead_;
};

}  // namespace guda::worker
