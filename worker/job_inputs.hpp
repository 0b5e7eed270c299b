#pragma once
// Where a job's inputs come from: the run's artifacts or this node's copies, models that are loaded already.
#include <torch/torch.h>

#include <filesystem>
#include <vector>

#include "common/digest.hpp"
#include "common/node_cache.hpp"
#include "jobs/plan.hpp"
#include "worker/execute.hpp"
#include "worker/model_store.hpp"

namespace guda::worker {

/// Of one job; copies on this node stay while it lives. `context` must outlive it. One thread.
class JobInputs {
 public:
  JobInputs(const Context& context, torch::Device device) : context_(context), device_(device) {}

  /// The folder of an artifact, or this node's copy of it. Throws IoError where there is none.
  [[nodiscard]] std::filesystem::path artifact(const Digest& digest);
  /// The worker's models, or those of this job alone.
  [[nodiscard]] ModelStore& models() { return context_.models != nullptr ? *context_.models : own_models_; }
  /// A model of these weights on the device, in evaluation mode; not to be changed.
  [[nodiscard]] Denoiser model(const Digest& weights);
  /// While a job scores with `weights`, those are read that the next one will score with.
  void load_next_ahead(const Digest& weights);

 private:
  const Context& context_;
  const torch::Device device_;
  std::vector<NodeCache::Entry> held_;
  ModelStore own_models_{0};
};

}  // namespace guda::worker
