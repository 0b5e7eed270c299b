#pragma once
// Features jobs that need gradients: projected, averaged gradients of images, and the diagonal of the Fisher matrix.
#include <torch/torch.h>

#include <functional>

#include "jobs/spec.hpp"
#include "worker/execute.hpp"
#include "worker/models/denoiser.hpp"
#include "worker/training/examples.hpp"

namespace guda::worker {

struct Features {
  torch::Tensor rows;       ///< float32 [images, D]
  torch::Tensor residuals;  ///< float64 [images] or undefined
};

/// phi = P^T (1/S) sum_t n(g_t) of every image, told its own text (methods.md 5.1), g_t the gradient of spec.loss at S
/// evenly spaced timesteps, n the identity or division by the length. The noise of a timestep is the same for every
/// image of every job. residuals: e_i = mean over t of e_it / |e_i|, e_it the root of the mean squared error (DAS).
/// `model` keeps its weights.
[[nodiscard]] Features gradient_features(const Denoiser& model, const jobs::FeaturesSpec& spec, const Seen& seen,
                                         torch::Device device, const std::function<void(const Progress&)>& progress);

/// Mean over images and spec.timesteps passes of the squared gradient of the denoising loss, one random timestep and
/// noise each (and mirrored half of the time with spec.flip): float32 [1, weights]. `first`: position of the first
/// image in the training split, which names its random numbers.
[[nodiscard]] Features fisher_diagonal(const Denoiser& model, const jobs::FeaturesSpec& spec, const Seen& seen,
                                       torch::Device device, const std::function<void(const Progress&)>& progress);

}  // namespace guda::worker
