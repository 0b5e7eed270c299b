#pragma once
// The training loop of every kind of model: AdamW, EMA, checkpoints, micro-batches, gangs.
#include <torch/torch.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "common/digest.hpp"
#include "jobs/experiment.hpp"
#include "worker/collective/gang.hpp"
#include "worker/execute.hpp"
#include "worker/training/batch_share.hpp"
#include "worker/training/job_checkpoints.hpp"
#include "worker/training/trained_parameters.hpp"

namespace guda::worker {

/// One batch of all members of a gang together.
struct TrainingBatch {
  std::vector<std::uint32_t> items, timesteps;             ///< for messages; [batch]
  std::function<torch::Tensor(const BatchShare&)> losses;  ///< of some of its rows: float32 [rows], with a gradient
};

/// The batch number `step`: a function of the step alone.
using DrawBatch = std::function<TrainingBatch(std::uint64_t step)>;

struct Losses {
  double first = 0, last = 0;  ///< mean of the first and of the last tenth of the steps (at least one step)
};

struct FitOptions {
  jobs::TrainingConfig config;
  std::uint32_t micro_batch = 0;  ///< rows computed at once; 0: all
  SeedPath seed = SeedPath(0);    ///< dropout masks come from seed/"dropout"
  torch::Device device = torch::kCPU;
  JobCheckpoints* checkpoints = nullptr;
  Gang* gang = nullptr;
  bool recompute = false;  ///< gradient checkpointing: the same bits
};

/// `model` is on the device and ends in eval mode; `trained`, a part of it, with EMA weights where they are kept.
/// Throws as train() does.
Losses fit(torch::nn::Module& model, const TrainedParameters& trained, const DrawBatch& draw, const FitOptions& options,
           const std::function<void(const Progress&)>& progress);

}  // namespace guda::worker
