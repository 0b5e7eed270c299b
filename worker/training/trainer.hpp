#pragma once
// The Train job: a denoising model of the training set minus a removal set (Ho et al. 2020, simple loss).
#include <torch/torch.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <span>

#include "jobs/spec.hpp"
#include "worker/collective/gang.hpp"
#include "worker/execute.hpp"
#include "worker/models/denoiser.hpp"
#include "worker/models/lora.hpp"
#include "worker/training/compute_mode.hpp"
#include "worker/training/examples.hpp"
#include "worker/training/job_checkpoints.hpp"

namespace guda::worker {

struct Trained {
  Denoiser model;         ///< EMA weights, or raw ones when ema_max_decay is 0
  double first_loss = 0;  ///< mean loss of the first and of the last tenth of the steps (at least one step)
  double last_loss = 0;
  std::optional<Lora> lora;  ///< what was learned where a LoRA was trained; the model has it merged
};

/// Trains on the training split without `removed` (sorted). Initial weights, batch order, timesteps and noise depend on
/// spec.seed only. Deterministic for a fixed number of threads. Calls `progress` once a step.
/// A text-to-image model is told each row's caption, or the empty text with probability spec.caption_dropout; a guide
/// (jobs/guide_model.hpp) each row's class, or none with probability spec.label_dropout.
/// `start`: the model to go on from, changed in place; empty: a new one. spec.training.parameters says what of it.
/// With `checkpoints` it goes on from the newest of them and leaves more, to the same bits as in one go.
/// With a `gang` every member trains on its rows of each batch and the gradients are added up: the same images,
/// timesteps and noise as alone, so the same result up to rounding (but for dropout masks, which differ), and the same
/// bits in every run of as many members. Only the root may be given `checkpoints`; all end with the same weights.
/// Throws what the gang throws, Error on a bad config, DivergenceError when a loss is not finite, and whatever
/// `progress` throws.
[[nodiscard]] Trained train(const jobs::TrainSpec& spec, const Examples& examples,
                            std::span<const std::uint32_t> removed, torch::Device device,
                            const std::function<void(const Progress&)>& progress, JobCheckpoints* checkpoints = nullptr,
                            Gang* gang = nullptr, Denoiser start = {}, ComputeMode mode = {});

}  // namespace guda::worker
