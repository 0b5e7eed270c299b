#pragma once
// The Score job: squared errors ||eps - eps_theta(x_t, t)||^2 of queries under common noise, the material of ELBOs.
#include <torch/torch.h>

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "jobs/spec.hpp"
#include "worker/execute.hpp"
#include "worker/models/denoiser.hpp"

namespace guda::worker {

/// Squared errors [queries, slots], summed over pixels, row-major.
/// queries: float32 [Q, C, H, W] on the CPU, images in [-1, 1] or scaled latents; names: [Q]; contexts: [Q, L, W] what
/// a text-to-image model is told of each query. Slot weights are not used. The noise of a (query, slot) is a function
/// of noise_seed, the query's name, the timestep and the draw number, times -1 where the slot is negated. Every forward
/// has `batch` rows (the tail is padded), so a value does not depend on the block or the order it is computed in. Calls
/// `progress` once a batch.
[[nodiscard]] std::vector<float> squared_errors(const Denoiser& model, const jobs::DiffusionConfig& diffusion,
                                                const torch::Tensor& queries, std::span<const std::string> names,
                                                std::span<const jobs::Slot> slots, std::uint32_t batch,
                                                std::uint64_t noise_seed, torch::Device device,
                                                const std::function<void(const Progress&)>& progress,
                                                const torch::Tensor& contexts = {});

}  // namespace guda::worker
