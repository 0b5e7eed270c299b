#pragma once
// What one agent's worker may use of its node: the agents of a node split its cores and GPUs without talking to each
// other.
#include <cstdint>
#include <string>
#include <vector>

#include "cluster/gpus.hpp"
#include "common/json.hpp"

namespace guda::cluster {

struct WorkerShare {
  std::string device;       ///< "node3/cpu7", "node3/gpu1", a shared "node3/gpu1.0": stable name of the slot, for blame
                            ///< and logs
  std::vector<int> cores;   ///< to bind to; empty: not bound
  std::string gpu;          ///< value of CUDA_VISIBLE_DEVICES for the worker; empty: none needed
  std::uint32_t place = 0;  ///< among the workers that share the GPU
  std::uint32_t workers_here = 1;  ///< of this run on the node
};

/// Share of rank >= 1 under the launch plan in life.json (to_json(LaunchPlan)); `mask` are the cores we may use here,
/// `gpus` the visible ones. Pure. Throws Error when the plan gives a worker here a GPU that the node does not show.
[[nodiscard]] WorkerShare share_of(const Json& launch, std::uint32_t rank, const std::string& host,
                                   const std::vector<int>& mask, const std::vector<Gpu>& gpus);

/// Cores of our affinity mask, and setting it (children inherit it). bind_to throws Error.
[[nodiscard]] std::vector<int> affinity_mask();
void bind_to(const std::vector<int>& cores);

}  // namespace guda::cluster
