#pragma once
// The Train job: a denoising model of the training set minus a removal set (Ho et al. 2020, simple loss).
#include <torch/torch.h>

#include <cstdint>
#include <functional>
#include <span>

#include "jobs/dataset.hpp"
#include "jobs/spec.hpp"
#include "worker/collective/gang.hpp"
#include "worker/execute.hpp"
#include "worker/models/unet2d.hpp"
#include "worker/models/unet2d_condition.hpp"
#include "worker/training/job_checkpoints.hpp"

namespace guda::worker {

struct Trained {
  UNet2D model{nullptr};  ///< EMA weights, or raw ones when ema_max_decay is 0
  double first_loss = 0;  ///< mean loss of the first and of the last tenth of the steps (at least one step)
  double last_loss = 0;
};

/// Trains on dataset.train without `removed` (sorted). Initial weights, batch order, timesteps and noise depend on
/// spec.seed only. Deterministic for a fixed number of threads. Calls `progress` once a step.
/// With `checkpoints` it goes on from the newest of them and leaves more, to the same bits as in one go.
/// With a `gang` every member trains on its rows of each batch and the gradients are added up: the same images,
/// timesteps and noise as alone, so the same result up to rounding (but for dropout masks, which differ), and the same
/// bits in every run of as many members. Only the root may be given `checkpoints`; all end with the same weights.
/// Throws what the gang throws, Error on a bad config, DivergenceError when a loss is not finite, and whatever
/// `progress` throws.
[[nodiscard]] Trained train(const jobs::TrainSpec& spec, const jobs::Dataset& dataset,
                            std::span<const std::uint32_t> removed, torch::Device device,
                            const std::function<void(const Progress&)>& progress, JobCheckpoints* checkpoints = nullptr,
                            Gang* gang = nullptr);

struct TrainedGuide {
  UNet2DCondition model{nullptr};
  double first_loss = 0, last_loss = 0;  ///< as Trained's
};

/// The class-conditional model that esd_class guides with (jobs/guide_model.hpp), trained on all of dataset.train: as
/// train(), each row with its class, or without one with probability spec.label_dropout.
[[nodiscard]] TrainedGuide train_guide(const jobs::TrainSpec& spec, const jobs::Dataset& dataset, torch::Device device,
                                       const std::function<void(const Progress&)>& progress,
                                       JobCheckpoints* checkpoints = nullptr, Gang* gang = nullptr);

}  // namespace guda::worker
