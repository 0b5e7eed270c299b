#include "worker/device/host_copies.hpp"

namespace guda::worker {

struct HostCopies::State {
  NamedTensors tensors;
};

HostCopies::HostCopies(const NamedTensors& tensors) : state_(std::make_unique<State>()) {
  for (const auto& [name, tensor] : tensors)
    state_->tensors.emplace_back(name, tensor.detach().clone(at::MemoryFormat::Preserve));
}

HostCopies::~HostCopies() = default;
const NamedTensors& HostCopies::wait() { return state_->tensors; }

}  // namespace guda::worker
