#pragma once
// A piece of work that is repeated with the same shapes on the same memory. On a GPU it runs a few times as it is, is
// then captured as a CUDA graph and replayed from there on: one launch instead of thousands.
#include <torch/torch.h>

#include <functional>
#include <memory>

namespace guda::worker {

class Replay {
 public:
  /// Times that the work runs as it is: libraries set themselves up and choose algorithms.
  static constexpr int kWarmUps = 3;

  /// On a CPU, or with graphs = false, the work always runs as it is.
  explicit Replay(torch::Device device, bool graphs = true);
  ~Replay();
  Replay(const Replay&) = delete;
  Replay& operator=(const Replay&) = delete;

  /// Does the work. It must read its inputs from, and leave its results in, tensors that live on between calls, and may
  /// neither wait for the device nor change anything on the host that a later call relies on. Only ever give one
  /// instance the same work. When it can't be captured, it runs as it is from then on, and why_not() says why.
  void run(const std::function<void()>& work);

  [[nodiscard]] bool is_captured() const;
  [[nodiscard]] const std::string& why_not() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace guda::worker
