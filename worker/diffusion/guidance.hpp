#pragma once
// Classifier-free guidance (Ho & Salimans 2022) by a prompt.
#include <torch/torch.h>

#include "worker/models/denoiser.hpp"

namespace guda::worker {

/// What a text-to-image model is told while it samples. Undefined tensors: the model is not one.
struct Prompted {
  torch::Tensor contexts;   ///< [queries, L, W]
  torch::Tensor no_prompt;  ///< [1, L, W]: the embedding of the empty text
  double guidance = 0;      ///< 0: the prompt's own prediction
};

/// The model's output for x [N, C, H, W] at timesteps [N]: e_c of the contexts [N, L, W] where guidance is 0, else
/// e_u + guidance (e_c - e_u), both in one forward of 2 N rows.
[[nodiscard]] torch::Tensor guided_output(const Denoiser& model, const torch::Tensor& x, const torch::Tensor& timesteps,
                                          const Prompted& prompted, const torch::Tensor& contexts);

}  // namespace guda::worker
