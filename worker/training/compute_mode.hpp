#pragma once

namespace guda::worker {

/// How a training or unlearning loop computes, whatever it computes.
struct ComputeMode {
  bool recompute = false;  ///< gradient checkpointing: the same bits in less memory (worker/models/recompute.hpp)
  bool bfloat16 = false;   ///< the network has bfloat16 copies of its weights (half_weights.hpp)
};

}  // namespace guda::worker
