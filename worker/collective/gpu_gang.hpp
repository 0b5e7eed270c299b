#pragma once
// A gang whose tensors go from GPU to GPU over NCCL. The members meet, agree and find out who is gone in shared memory.
#include <torch/types.h>

#include <memory>

#include "worker/collective/shared_memory_gang.hpp"

namespace guda::worker {

/// On a GPU, in a build with NCCL, with a device for each member: the gang's tensors go over NCCL. Otherwise the gang
/// as it is. NCCL never waits longer than patience.seconds, and asks while_waiting meanwhile; whatever ends a wait
/// early aborts the communicator, which ends it for all. Throws what joining throws, std::runtime_error("NCCL error:
/// ...").
[[nodiscard]] std::unique_ptr<Gang> over_gpus(std::unique_ptr<Gang> gang, torch::Device device,
                                              const GangPatience& patience);

}  // namespace guda::worker
