#include <ATen/cuda/CUDAEvent.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include <optional>

#include "worker/device/host_copies.hpp"

namespace guda::worker {

struct HostCopies::State {
  NamedTensors tensors;
  std::optional<at::cuda::CUDAEvent> done;
};

HostCopies::HostCopies(const NamedTensors& tensors) : state_(std::make_unique<State>()) {
  const at::NoGradGuard no_grad;
  std::optional<c10::cuda::CUDAStream> side;
  for (const auto& [name, tensor] : tensors) {
    if (!tensor.is_cuda()) {
      state_->tensors.emplace_back(name, tensor.detach().clone(at::MemoryFormat::Preserve));
      continue;
    }
    if (!side) {
      static thread_local const c10::cuda::CUDAStream stream = c10::cuda::getStreamFromPool();
      side = stream;
      at::cuda::CUDAEvent written;
      written.record(c10::cuda::getCurrentCUDAStream());
      written.block(*side);
    }
    const c10::cuda::CUDAStreamGuard guard(*side);
    // The same strides: bytes are copied as they lie.
    at::Tensor host = at::empty_strided(tensor.sizes(), tensor.strides(),
                                        tensor.options().device(at::kCPU).pinned_memory(true).requires_grad(false));
    host.copy_(tensor.detach(), /*non_blocking=*/true);
    state_->tensors.emplace_back(name, host);
  }
  if (!side) return;
  state_->done.emplace();
  state_->done->record(*side);
  state_->done->block(
      c10::cuda::getCurrentCUDAStream());  // the next step changes the tensors: the device waits, not we
}

HostCopies::~HostCopies() = default;

const NamedTensors& HostCopies::wait() {
  if (state_->done) state_->done->synchronize();
  return state_->tensors;
}

}  // namespace guda::worker
