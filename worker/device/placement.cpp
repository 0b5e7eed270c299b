#include "worker/device/device.hpp"

namespace guda::worker {

void move_to(torch::nn::Module& module, torch::Device device) {
  module.to(device, /*non_blocking=*/!device.is_cpu());  // who reads on the host must not read too early
  if (device.is_cpu()) return;
  const torch::NoGradGuard no_grad;
  for (torch::Tensor& p : module.parameters()) {
    if (p.dim() == 4) p.set_data(p.contiguous(at::MemoryFormat::ChannelsLast));
  }
}

}  // namespace guda::worker
