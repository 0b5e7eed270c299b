#pragma once
// The Sample job: draws or collects the queries whose origin is asked for.
#include <torch/torch.h>

#include <functional>

#include "jobs/dataset.hpp"
#include "jobs/spec.hpp"
#include "worker/diffusion/guidance.hpp"
#include "worker/diffusion/query_set.hpp"
#include "worker/execute.hpp"
#include "worker/models/autoencoder_kl.hpp"
#include "worker/models/denoiser.hpp"
#include "worker/training/job_checkpoints.hpp"

namespace guda::worker {

/// How a text-to-image model samples: by prompts, in an autoencoder's latents.
struct TextToImage {
  Prompted prompted;                   ///< contexts in the order of the names
  AutoencoderKL autoencoder{nullptr};  ///< empty: the model draws pixels
};

/// Samples float32 [names, C, H, W] of the data set's shape on the CPU, clamped to [-1, 1] and rounded to
/// sampler.grey_levels. Initial and step noise of a query are functions of the seed, its name and the timestep; every
/// forward has sampler.batch rows, so a sample depends on which others are drawn by rounding at most, and by nothing
/// where the model has no attention. Progress counts steps of a batch, and decoding it as one. With `checkpoints` it
/// goes on from the newest of them and leaves more, to the same bits as in one go.
[[nodiscard]] torch::Tensor sample_images(const Denoiser& model, const jobs::SampleSpec& spec,
                                          const jobs::Dataset& dataset, torch::Device device,
                                          const std::function<void(const Progress&)>& progress,
                                          const TextToImage& text_to_image = {}, JobCheckpoints* checkpoints = nullptr);

/// The query set that `spec` describes. kind generated: sample_images (`model` must not be empty); held_out:
/// names.size() held-out items from number set.first on; images: PNG files (8 bits), float32 NPY in [-1, 1] or uint8
/// NPY 0..255, each of exactly the data set's size (no resizing), rounded to the data set's levels. Throws Error naming
/// file, cause and cure.
[[nodiscard]] QuerySet make_query_set(const Denoiser& model, const jobs::SampleSpec& spec, const jobs::Dataset& dataset,
                                      torch::Device device, const std::function<void(const Progress&)>& progress,
                                      const TextToImage& text_to_image = {}, JobCheckpoints* checkpoints = nullptr);

}  // namespace guda::worker
