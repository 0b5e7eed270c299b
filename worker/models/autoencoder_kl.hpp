#pragma once
// AutoencoderKL of diffusers 0.31 in LibTorch: same parameter names, same arithmetic. The images of a latent diffusion
// model to and from its latents.
#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <cstdint>
#include <filesystem>
#include <vector>

#include "common/json.hpp"
#include "worker/models/autoencoder_kl_config.hpp"
#include "worker/models/unet2d_blocks.hpp"

namespace guda::worker {

/// DownEncoderBlock2D and UpDecoderBlock2D: residual blocks, then a convolution that halves or doubles the size.
class AutoencoderBlockImpl : public torch::nn::Module {
 public:
  enum class Resize { none, halve, twice };
  AutoencoderBlockImpl(std::int64_t in, std::int64_t out, std::int64_t layers, Resize resize, const ResnetStyle& style);
  at::Tensor forward(at::Tensor x);

 private:
  std::vector<ResnetBlock> resnets_;
  Downsample downsample_{nullptr};
  Upsample upsample_{nullptr};
};
TORCH_MODULE(AutoencoderBlock);

/// The encoder (blocks, middle) or the decoder (middle, blocks), each between two convolutions.
class AutoencoderHalfImpl : public torch::nn::Module {
 public:
  enum class Side { encoder, decoder };
  AutoencoderHalfImpl(const AutoencoderKLConfig& config, Side side);
  at::Tensor forward(at::Tensor x);

 private:
  bool encoder_;
  torch::nn::Conv2d conv_in_{nullptr}, conv_out_{nullptr};
  std::vector<AutoencoderBlock> blocks_;
  MidBlock mid_block_{nullptr};
  torch::nn::GroupNorm norm_out_{nullptr};
};
TORCH_MODULE(AutoencoderHalf);

/// The normal distribution of an image's latents, not yet scaled. Both [N, latent_channels, h, w].
struct LatentMoments {
  at::Tensor mean;
  at::Tensor logvar;  ///< within [-30, 20]
};

class AutoencoderKLImpl : public torch::nn::Module {
 public:
  /// Parameters are initialised as PyTorch does, from torch's global generator; make_autoencoder_kl seeds it.
  explicit AutoencoderKLImpl(AutoencoderKLConfig config);

  /// images [N, in_channels, H, W] float32, H and W multiples of config().reduction(), else Error. A diffusion model is
  /// trained on scaling_factor * (mean + exp(logvar / 2) noise).
  LatentMoments encode(const at::Tensor& images);
  /// latents [N, latent_channels, h, w] float32, not scaled: images [N, out_channels, h reduction, w reduction]. Not
  /// clamped.
  at::Tensor decode(const at::Tensor& latents);

  [[nodiscard]] const AutoencoderKLConfig& config() const noexcept { return config_; }

 private:
  AutoencoderKLConfig config_;
  AutoencoderHalf encoder_{nullptr}, decoder_{nullptr};
  torch::nn::Conv2d quant_conv_{nullptr}, post_quant_conv_{nullptr};
};
TORCH_MODULE(AutoencoderKL);

/// As make_unet2d, load_unet2d and save_unet2d; of a pipeline's folder take vae/.
[[nodiscard]] AutoencoderKL make_autoencoder_kl(const Json& config, std::uint64_t init_seed);
[[nodiscard]] AutoencoderKL load_autoencoder_kl(const std::filesystem::path& folder);
void save_autoencoder_kl(AutoencoderKL& model, const std::filesystem::path& folder);

}  // namespace guda::worker
