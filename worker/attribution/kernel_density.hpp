#pragma once
// A control that knows the data and no network: the ELBO of the exact denoiser of a kernel density.
#include <torch/torch.h>

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace guda::worker {

/// One timestep: A_t, and the ELBO weight of a squared error.
struct DensityLevel {
  std::uint32_t timestep = 0;
  double alpha_bar = 0, weight = 0;
};

/// Root mean squared distance per pixel from an item to its nearest other one: the kernels' standard deviation.
[[nodiscard]] double kernel_width(const torch::Tensor& items, const std::function<void()>& poll = {});

/// The data's density is the mean of N(a_i, width^2 I) over the items; its exact denoiser predicts
/// E[eps | x_t] in closed form. score(q, k) = sum over levels of w (|eps - E_-k|^2 - |eps - E|^2), E_-k the denoiser of
/// the items outside group k, one counter-based noise per query and level. queries [Q, D], items [n, D] float32;
/// groups: rows of `items`. Returns [Q, groups]; a group that is everything gets 0.
[[nodiscard]] std::vector<double> kernel_density_scores(const torch::Tensor& queries,
                                                        std::span<const std::string> names, const torch::Tensor& items,
                                                        std::span<const std::vector<std::int64_t>> groups,
                                                        std::span<const DensityLevel> levels, double width,
                                                        std::uint64_t seed, const std::function<void()>& poll = {});

}  // namespace guda::worker
