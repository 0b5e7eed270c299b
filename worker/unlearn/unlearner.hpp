#pragma once
// The Unlearn job: from the weights of the full model to those of a model that has not seen the removed images.
#include <torch/torch.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <span>

#include "jobs/spec.hpp"
#include "worker/execute.hpp"
#include "worker/models/denoiser.hpp"
#include "worker/models/lora.hpp"
#include "worker/models/unet2d_condition.hpp"
#include "worker/training/compute_mode.hpp"
#include "worker/training/examples.hpp"
#include "worker/training/job_checkpoints.hpp"

namespace guda::worker {

/// Mean and standard deviation (population) of the alignments of the removed images (guard.hpp).
struct AlignmentSpread {
  double mean = 0, sd = 0;
};

struct Unlearned {
  double retain_loss = 0;                    ///< mean over the last tenth of the steps (at least one)
  double forget_loss = 0;                    ///< the operator's, before its weight; 0 where there is none
  std::optional<AlignmentSpread> alignment;  ///< where forget images are weighed by GUARD
  std::optional<Lora> lora;                  ///< what was learned where a LoRA was trained; the model has it merged
};

/// Changes `model` in place; it starts from the full model's weights and ends with the raw weights of the last step.
/// spec.unlearn.parameters says what of it. `teacher`: the full model, not changed; may be empty for operators that
/// need none (needs_teacher), and may share with `model` the memory of what is not trained (student_of). `examples`
/// must outlive the call; with captions the model is told each row's own. `guide`: a class-conditional model, for
/// operators that need one (needs_guide) where there are no captions: with them the teacher is asked without and with
/// each row's own. Not changed. `removed` sorted, not empty. `groups`: number of groups of the experiment, for
/// proportional forget scaling. Batch order, timesteps and noise depend on spec.seed only (the forget images on the
/// removal, of course). With `checkpoints` it goes on from the newest of them and leaves more, to the same bits as in
/// one go. `mode`: bfloat16 is the model's (not teacher's, guide's or the one-step operator's). Throws Error on a bad
/// config, DivergenceError, and whatever `progress` (called once a step, and while it looks for neighbours before the
/// first) throws.
Unlearned unlearn(const Denoiser& model, const Denoiser& teacher, const jobs::UnlearnSpec& spec,
                  const Examples& examples, std::span<const std::uint32_t> removed, std::size_t groups,
                  torch::Device device, const std::function<void(const Progress&)>& progress,
                  JobCheckpoints* checkpoints = nullptr, const UNet2DCondition& guide = nullptr, ComputeMode mode = {});

/// A model with the weights of `full` (of that config) that shares the memory of all that `parameters` does not train.
[[nodiscard]] Denoiser student_of(const Denoiser& full, const Json& config, const jobs::ParametersConfig& parameters);

/// Whether unlearn() reads its teacher under this config, of images with captions or without. Throws as find_operator.
[[nodiscard]] bool needs_teacher(const jobs::UnlearnConfig& config, bool captions = false);

/// Weight of the mean forget loss: forget_weight, times n_k/n_r * groups when proportional; strength n_k/n_r where
/// derived so.
[[nodiscard]] double forget_weight(const jobs::UnlearnConfig& config, std::size_t removed, std::size_t retained,
                                   std::size_t groups);

/// Weight of the mean retain loss: 1, or n/n_r = 1 + n_k/n_r where derived so (siss).
[[nodiscard]] double retain_weight(const jobs::UnlearnConfig& config, std::size_t removed, std::size_t retained);

}  // namespace guda::worker
