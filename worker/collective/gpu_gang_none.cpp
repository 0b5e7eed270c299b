#include "worker/collective/gpu_gang.hpp"

namespace guda::worker {

std::unique_ptr<Gang> over_gpus(std::unique_ptr<Gang> gang, torch::Device, const GangPatience&) { return gang; }

}  // namespace guda::worker
