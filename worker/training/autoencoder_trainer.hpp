#pragma once
// The Train job of an autoencoder (Kingma & Welling 2014; Rombach et al. 2022 without their adversary).
#include <functional>

#include "jobs/spec.hpp"
#include "worker/collective/gang.hpp"
#include "worker/execute.hpp"
#include "worker/models/autoencoder_kl.hpp"
#include "worker/training/job_checkpoints.hpp"

namespace guda::worker {

struct TrainedAutoencoder {
  AutoencoderKL model{nullptr};          ///< its scaling_factor makes the latents' standard deviation 1
  double first_loss = 0, last_loss = 0;  ///< as Trained's
};

/// Trains on all of dataset.train: an image's loss is the mean squared error of its pixels plus spec.kl_weight times
/// the KL divergence of its latents from the standard normal distribution. Otherwise as train().
[[nodiscard]] TrainedAutoencoder train_autoencoder(const jobs::TrainSpec& spec, const jobs::Dataset& dataset,
                                                   torch::Device device,
                                                   const std::function<void(const Progress&)>& progress,
                                                   JobCheckpoints* checkpoints = nullptr, Gang* gang = nullptr);

}  // namespace guda::worker
