#pragma once
// One-step removal: the Newton step from the full model to the model without the group, with the diagonal Fisher matrix
// of the retained images for their Hessian. Stationarity of the full model, n_r g_r + n_k g_k = 0, turns the retain
// gradient into that of the group: theta_-k = theta_0 + (n_k/n_r) F^-1 g_k. Source: Choi et al. 2025, in the form for
// groups.
#include <torch/torch.h>

#include <functional>
#include <span>
#include <vector>

#include "jobs/spec.hpp"
#include "worker/execute.hpp"
#include "worker/models/denoiser.hpp"
#include "worker/training/examples.hpp"
#include "worker/training/job_checkpoints.hpp"
#include "worker/unlearn/unlearner.hpp"

namespace guda::worker {

/// parameters += factor * gradient / (fisher + damping * mean of all of fisher), tensor by tensor; damping >= 0.
void fisher_step(std::vector<torch::Tensor>& parameters, const std::vector<torch::Tensor>& gradient,
                 const std::vector<torch::Tensor>& fisher, double factor, double damping);

/// The operator `fisher`, as unlearn() describes it. Each of `steps` steps adds a forget batch to the group's mean
/// gradient and a retain batch, row by row, to the mean squared gradient; the one update comes after the last. Dropout
/// is off.
Unlearned fisher_removal(const Denoiser& model, const jobs::UnlearnSpec& spec, const Examples& examples,
                         std::span<const std::uint32_t> removed, torch::Device device,
                         const std::function<void(const Progress&)>& progress, JobCheckpoints* checkpoints);

}  // namespace guda::worker
