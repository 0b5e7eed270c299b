#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAStream.h>

#include "worker/device/replay.hpp"

namespace guda::worker {

struct Replay::State {
  int runs = 0;
  bool possible = false;
  std::string why_not;
  std::unique_ptr<at::cuda::CUDAGraph> graph;
};

Replay::Replay(torch::Device device, bool graphs) : state_(std::make_unique<State>()) {
  state_->possible = device.is_cuda() && graphs;
  if (!state_->possible) state_->why_not = device.is_cuda() ? "graphs were not asked for" : "a CPU has no graphs";
  // The default stream can't be captured, and gradients remember the stream that they were made on.
  if (state_->possible && c10::cuda::getCurrentCUDAStream() == c10::cuda::getDefaultCUDAStream()) {
    state_->possible = false;
    state_->why_not = "this thread works on the default stream (open_device() was not called)";
  }
}

Replay::~Replay() = default;

void Replay::run(const std::function<void()>& work) {
  State& s = *state_;
  if (s.graph) return s.graph->replay();
  if (!s.possible || s.runs++ < kWarmUps) return work();
  c10::cuda::device_synchronize();
  c10::cuda::CUDACachingAllocator::emptyCache();  // what the warm-ups used: a graph has memory of its own
  auto graph = std::make_unique<at::cuda::CUDAGraph>();
  // Thread-local: another thread may copy meanwhile.
  graph->capture_begin({0, 0}, cudaStreamCaptureModeThreadLocal);
  try {
    work();
    graph->capture_end();
  } catch (const c10::Error& error) {
    try {
      graph->capture_end();
    } catch (const c10::Error&) {  // the capture is void: that is what was to be ended
    }
    s.possible = false;
    s.why_not = error.what_without_backtrace();
    return work();
  }
  s.graph = std::move(graph);
  s.graph->replay();
}

bool Replay::is_captured() const { return state_->graph != nullptr; }
const std::string& Replay::why_not() const { return state_->why_not; }

}  // namespace guda::worker
