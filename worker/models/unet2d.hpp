#pragma once
// UNet2DModel of diffusers 0.31 in LibTorch: same parameter names, same arithmetic.
#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <cstdint>
#include <filesystem>

#include "common/json.hpp"
#include "worker/models/unet2d_blocks.hpp"
#include "worker/models/unet2d_config.hpp"

namespace guda::worker {

class UNet2DImpl : public torch::nn::Module {
 public:
  /// Parameters are initialised as PyTorch does, from torch's global generator; make_unet2d seeds it.
  explicit UNet2DImpl(UNet2DConfig config);

  /// sample [N, C, H, W] float32, H and W multiples of 2^(blocks - 1); timestep [N] or a scalar, integer or float;
  /// class_labels [N] integer (table), [N] number (timestep) or [N, time_embed_dim] float (identity), only and always
  /// when the config has a class embedding, else Error. Returns [N, out_channels, H, W]. Keeps channels_last layout.
  torch::Tensor forward(const torch::Tensor& sample, const torch::Tensor& timestep,
                        const torch::Tensor& class_labels = {});

  [[nodiscard]] const UNet2DConfig& config() const noexcept { return config_; }

 private:
  [[nodiscard]] torch::Tensor embed_time(const torch::Tensor& timestep);
  [[nodiscard]] torch::Tensor embed_class(const torch::Tensor& labels);

  UNet2DConfig config_;
  torch::nn::Conv2d conv_in_{nullptr}, conv_out_{nullptr};
  FourierProjection fourier_{nullptr};
  TimestepMlp time_embedding_{nullptr}, class_timestep_{nullptr};
  torch::nn::Embedding class_table_{nullptr};
  torch::nn::ModuleList down_blocks_{nullptr}, up_blocks_{nullptr};
  MidBlock mid_block_{nullptr};
  torch::nn::GroupNorm norm_out_{nullptr};
};
TORCH_MODULE(UNet2D);

/// A new model in training mode on the CPU. Equal config and seed give equal weights: torch's CPU generator is seeded,
/// used and restored under a process-wide lock, so nothing else in the process may draw from it at the same time.
[[nodiscard]] UNet2D make_unet2d(const Json& config, std::uint64_t init_seed);

/// Same config, own copy of all parameters, same device and mode.
[[nodiscard]] UNet2D copy_unet2d(const UNet2D& model);

/// Reads config.json and diffusion_pytorch_model.safetensors (or its sharded index). float16, bfloat16 and float64
/// tensors are converted to float32. All missing, unused and misshaped tensors are listed in one Error. In eval mode,
/// on the CPU.
/// Of that shape, its weights not set yet; in evaluation mode.
[[nodiscard]] UNet2D unset_unet2d(const Json& config);
[[nodiscard]] UNet2D load_unet2d(const std::filesystem::path& folder);

/// Writes a folder that diffusers' UNet2DModel.from_pretrained reads. The folder is created; files are replaced whole.
/// `config` is stored as given, completed by diffusers' defaults; it must describe `model` (Bug otherwise).
void save_unet2d(UNet2D& model, const Json& config, const std::filesystem::path& folder);

}  // namespace guda::worker
