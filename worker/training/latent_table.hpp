#pragma once
// The latents of training images, computed once by Features jobs: no autoencoder runs in a training loop.
#include <torch/torch.h>

#include <filesystem>
#include <functional>
#include <span>
#include <vector>

#include "worker/models/autoencoder_kl.hpp"
#include "worker/training/images.hpp"

namespace guda::worker {

/// Moments of the latents of images in the order of the training split, not scaled. All float32 [N, C, h, w].
struct LatentTable {
  torch::Tensor mean, logvar;
  torch::Tensor mirrored_mean, mirrored_logvar;  ///< of the mirrored images; undefined where none were asked for
  double scale = 1;                              ///< the autoencoder's scaling_factor
};

/// The same, on a device.
[[nodiscard]] LatentTable table_on(const LatentTable& table, torch::Device device);

/// Moments of `count` images, asked for a few at a time; `mirrored`: also of their mirror images. Calls `poll` between
/// batches.
[[nodiscard]] LatentTable encode_images(AutoencoderKL& autoencoder, const ImagesAt& images, std::int64_t count,
                                        bool mirrored, torch::Device device, const std::function<void()>& poll);
/// The same of images [N, C, H, W].
[[nodiscard]] LatentTable encode_images(AutoencoderKL& autoencoder, const torch::Tensor& images, bool mirrored,
                                        torch::Device device, const std::function<void()>& poll);

/// latents.safetensors in a folder.
void save_latents(const LatentTable& table, const std::filesystem::path& folder);
/// The blocks one behind the other. Throws Error naming the file where one is damaged or does not fit the first.
[[nodiscard]] LatentTable load_latents(std::span<const std::filesystem::path> folders);

}  // namespace guda::worker
