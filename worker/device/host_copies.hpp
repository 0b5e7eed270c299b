#pragma once
// A copy of tensors in host memory that the device makes beside its work, on a side stream.
#include <memory>

#include "worker/training/checkpoint_file.hpp"

namespace guda::worker {

class HostCopies {
 public:
  /// Returns when the tensors may be changed by work that is queued from here on: at once for those on a GPU, whose
  /// copies go to pinned memory.
  explicit HostCopies(const NamedTensors& tensors);
  ~HostCopies();
  HostCopies(const HostCopies&) = delete;
  HostCopies& operator=(const HostCopies&) = delete;

  /// Waits until they are whole. Any one thread.
  [[nodiscard]] const NamedTensors& wait();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace guda::worker
