#pragma once
// squared_errors() on a GPU: noise, x_t and the sum of squares are made there, a batch is one replayed graph, and the
// host only fills a table of rows and asks now and then how far the device is.
#include <torch/torch.h>

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "jobs/noise_schedule.hpp"
#include "jobs/spec.hpp"
#include "worker/diffusion/prediction.hpp"
#include "worker/execute.hpp"
#include "worker/models/denoiser.hpp"

namespace guda::worker {

/// As squared_errors() (scoring.hpp), which has checked its arguments; values are not checked. The model is on
/// `device`. graphs: whether batches are captured.
[[nodiscard]] std::vector<float> gpu_squared_errors(const Denoiser& model, Prediction prediction,
                                                    const jobs::NoiseSchedule& schedule, const torch::Tensor& queries,
                                                    std::span<const std::string> names,
                                                    std::span<const jobs::Slot> slots, std::uint32_t batch,
                                                    std::uint64_t noise_seed, torch::Device device,
                                                    const std::function<void(const Progress&)>& progress,
                                                    const torch::Tensor& contexts = {}, bool graphs = true);

/// Fills the first rows of `noise` [>= ids, C, H, W] on a GPU, as sampling does.
void gpu_fill_rows(torch::Tensor& noise, std::span<const std::uint64_t> ids, std::uint64_t seed, std::uint32_t timestep,
                   std::uint32_t draw);

}  // namespace guda::worker
