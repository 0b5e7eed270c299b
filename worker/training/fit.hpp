#pragma once
// The training loop of every kind of model: AdamW, EMA, checkpoints, micro-batches, gangs.
#include <torch/torch.h>

#include <cstdint>
#include <functional>
#include <span>
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
  std::vector<std::uint32_t> items, timesteps;  ///< for messages; [batch]
  std::vector<torch::Tensor> inputs;            ///< what losses are computed from: [batch, ...], or undefined
};

/// The batch number `step`: a function of the step alone. Shapes and types of its inputs are those of every step.
using DrawBatch = std::function<TrainingBatch(std::uint64_t step)>;

/// Losses of some consecutive rows of a batch from their inputs on the device: float32 [rows], with a gradient. Nothing
/// else may depend on the step, and nothing may wait for the device: on a GPU the step is captured as a graph.
using RowLosses = std::function<torch::Tensor(std::span<const torch::Tensor> inputs)>;

struct Losses {
  double first = 0, last = 0;  ///< mean of the first and of the last tenth of the steps (at least one step)
};

struct FitOptions {
  jobs::TrainingConfig config;
  std::uint32_t micro_batch = 0;  ///< rows computed at once; 0: all
  SeedPath seed = SeedPath(0);    ///< dropout masks come from seed/"dropout"
  torch::Device device = torch::kCPU;
  bool graphs = true;  ///< on a GPU
  JobCheckpoints* checkpoints = nullptr;
  Gang* gang = nullptr;
  bool recompute = false;  ///< gradient checkpointing: the same bits
};

/// `model` is on the device and ends in eval mode; `trained`, a part of it, with EMA weights where they are kept: the
/// caller's merge() follows. Throws as train() does.
/// On a GPU forward and backward pass are replayed as one graph, where a step is computed at once by one worker and
/// nothing is recomputed, and the next batch is drawn while the device works.
Losses fit(torch::nn::Module& model, TrainedParameters& trained, const DrawBatch& draw, const RowLosses& losses,
           const FitOptions& options, const std::function<void(const Progress&)>& progress);

}  // namespace guda::worker
