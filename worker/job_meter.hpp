#pragma once
// What a job took: time, memory, loads of weights.
#include <torch/torch.h>

#include "common/json.hpp"
#include "common/node_cache.hpp"
#include "worker/model_store.hpp"

namespace guda::worker {

/// From its construction on. `models` and `cache` may be null, and outlive it.
class JobMeter {
 public:
  /// Begins new peaks of memory.
  JobMeter(torch::Device device, const ModelStore* models, const NodeCache* cache);
  /// Adds seconds and processor_seconds (with `earlier` ones of attempts before), peak_memory_bytes, peak_device_bytes,
  /// weights_* and node_cache, as docs/formats.md lists them.
  void add_to(Json& metrics, double earlier) const;

 private:
  const torch::Device device_;
  const ModelStore* const models_;
  const NodeCache* const cache_;
  const double begin_, processor_;
  const ModelStore::Counts loads_;
  const NodeCacheUse read_;
};

}  // namespace guda::worker
