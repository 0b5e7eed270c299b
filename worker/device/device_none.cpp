#include "common/error.hpp"
#include "worker/device/device.hpp"

namespace guda::worker {

torch::Device open_device(const jobs::Numerics& numerics) {
  if (numerics.device == "cpu") return torch::kCPU;
  throw Error("device " + numerics.device + ": " + why_no_gpu() +
              ". Cure: resources.device: cpu, or ./run build gpu (docs/install.md)");
}

int gpu_count() noexcept { return 0; }

std::string why_no_gpu() { return "this guda-worker was built without CUDA"; }

}  // namespace guda::worker
