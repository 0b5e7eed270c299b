#pragma once
// What a conditional model says of forget images, with and without its condition: the two ends of guidance.
#include <torch/torch.h>

#include "worker/models/denoiser.hpp"
#include "worker/models/unet2d_condition.hpp"
#include "worker/unlearn/step_images.hpp"

namespace guda::worker {

/// Predicted noise [rows, D] without and with the class or caption that each image has in the data set.
struct Guidance {
  torch::Tensor unconditional, conditional;
};

/// One forward of twice the rows; no gradient.
[[nodiscard]] Guidance guidance_of(UNet2DCondition guide, Prediction prediction, const jobs::NoiseSchedule& schedule,
                                   const StepImages& rows, const jobs::Dataset& dataset, torch::Device device);

/// The same of a text-to-image model: under the empty text, and under the rows' own captions.
[[nodiscard]] Guidance guidance_by_captions(const Denoiser& model, Prediction prediction,
                                            const jobs::NoiseSchedule& schedule, const StepImages& rows,
                                            const Examples& examples, torch::Device device);

}  // namespace guda::worker
