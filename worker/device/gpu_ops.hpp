#pragma once
// The kernels of worker/cuda as operations on tensors of a GPU, on the current stream. In a build without CUDA there
// are no such tensors, and each throws Bug.
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

#include "worker/cuda/kernels.hpp"

namespace guda::worker::gpu {

/// float32 [shape] standard normals, the bits of worker::fill_normal().
[[nodiscard]] at::Tensor normal(std::uint64_t seed, std::uint64_t query_id, std::uint32_t timestep, std::uint32_t draw,
                                at::IntArrayRef shape, const at::Device& device);

/// Rows as bytes in memory that a GPU reads without the host waiting: what copy_rows takes.
[[nodiscard]] at::Tensor pinned_rows(std::int64_t count);
/// uint8 [count, 32] on the device, for the functions below.
[[nodiscard]] at::Tensor device_rows(std::int64_t count, const at::Device& device);
[[nodiscard]] std::span<cuda::NoisedRow> rows_in(at::Tensor& pinned);

/// Writes the noise of every row into the first rows of out, float32 [>= rows, ...].
void fill_rows(std::uint64_t seed, const at::Tensor& rows, std::int64_t count, at::Tensor& out);

/// What a network is given of a batch; float32 and int64, [rows, ...].
struct BatchInputs {
  at::Tensor x_t, timesteps, images, gamma, sigma;
};
[[nodiscard]] BatchInputs make_inputs(std::int64_t rows, at::IntArrayRef image, const at::Device& device);
/// From the clean images [., C, H, W].
void noised_rows(std::uint64_t seed, const at::Tensor& rows, const at::Tensor& clean, BatchInputs& out);

/// results[place] = squared error of each row's noise and `predicted` [rows, C, H, W], float32 or bfloat16, contiguous
/// or channels-last.
void squared_errors(std::uint64_t seed, const at::Tensor& rows, const at::Tensor& predicted, at::Tensor& results);

/// float32 [items, C, H, W] of uint8 images [., C, H, W] on a GPU; `flips` empty or one per item.
[[nodiscard]] at::Tensor gather_images(const at::Tensor& images, std::span<const std::uint32_t> items,
                                       const std::vector<bool>& flips, const std::vector<float>& values);

/// Whether group_norm() takes x [N, C, H, W] and the weights as they are.
[[nodiscard]] bool takes_group_norm(const at::Tensor& x, const at::Tensor& gamma, const at::Tensor& beta,
                                    std::int64_t groups);
/// As worker::group_norm; mean and rstd, float32 [N, groups], are made for the backward pass.
[[nodiscard]] at::Tensor group_norm(const at::Tensor& x, const at::Tensor& gamma, const at::Tensor& beta,
                                    std::int64_t groups, double eps, bool silu, at::Tensor& mean, at::Tensor& rstd);
struct NormGradients {
  at::Tensor x, gamma, beta;
};
[[nodiscard]] NormGradients group_norm_backward(const at::Tensor& x, const at::Tensor& gamma, const at::Tensor& beta,
                                                std::int64_t groups, double eps, bool silu, const at::Tensor& mean,
                                                const at::Tensor& rstd, const at::Tensor& dy);

/// AdamW, clipping and EMA over a fixed list of tensors in three launches (cuda/kernels.hpp). Not thread-safe.
class FusedAdamW {
 public:
  /// Float32, dense, on one GPU. halves: empty, or bfloat16 copies of the parameters, whose gradients are then taken.
  FusedAdamW(std::vector<at::Tensor> parameters, std::vector<at::Tensor> first, std::vector<at::Tensor> second,
             std::vector<at::Tensor> halves);
  /// gradients: like the parameters (like the copies where there are any). averages: empty, or of the EMA.
  void step(const std::vector<at::Tensor>& gradients, const std::vector<at::Tensor>& averages,
            const cuda::AdamWStep& step, double clip);

 private:
  std::vector<at::Tensor> parameters_, first_, second_, halves_;
  std::vector<const void*> placed_;  ///< where gradients and averages lay when the table was made
  at::Tensor table_, scratch_;
  std::int64_t pieces_ = 0;
};

}  // namespace guda::worker::gpu
