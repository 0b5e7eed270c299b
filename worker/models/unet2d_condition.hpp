#pragma once
// UNet2DConditionModel of diffusers 0.31 in LibTorch: same parameter names, same arithmetic. Conditioned on a context
// (text embeddings), on a class, on both or on neither.
#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <cstdint>
#include <filesystem>

#include "common/json.hpp"
#include "worker/models/unet2d_blocks.hpp"
#include "worker/models/unet2d_condition_config.hpp"

namespace guda::worker {

class UNet2DConditionImpl : public torch::nn::Module {
 public:
  /// Parameters are initialised as PyTorch does, from torch's global generator; make_unet2d_condition seeds it.
  explicit UNet2DConditionImpl(UNet2DConditionConfig config);

  /// sample [N, C, H, W] float32, H and W multiples of 2^(blocks - 1); timestep [N] or a scalar. context
  /// [N, M, cross_attention_dim] float32; undefined: cross-attention turns into self-attention, as in diffusers, which
  /// works where its width is that of the block. class_labels [N] integer (table), [N] number (timestep), [N, D] float
  /// (identity, projection), only and always when the config has a class embedding, else Error. Returns
  /// [N, out_channels, H, W].
  torch::Tensor forward(const torch::Tensor& sample, const torch::Tensor& timestep, const torch::Tensor& context = {},
                        const torch::Tensor& class_labels = {});

  [[nodiscard]] const UNet2DConditionConfig& config() const noexcept { return config_; }

 private:
  [[nodiscard]] torch::Tensor embed_class(const torch::Tensor& labels);
  [[nodiscard]] torch::Tensor embed_time(const torch::Tensor& timestep) const;

  UNet2DConditionConfig config_;
  torch::nn::Conv2d conv_in_{nullptr}, conv_out_{nullptr};
  TimestepMlp time_embedding_{nullptr}, class_mlp_{nullptr};
  torch::nn::Embedding class_table_{nullptr};
  torch::nn::Linear class_projection_{nullptr};
  torch::nn::ModuleList down_blocks_{nullptr}, up_blocks_{nullptr};
  CrossMidBlock mid_block_{nullptr};
  torch::nn::GroupNorm norm_out_{nullptr};
};
TORCH_MODULE(UNet2DCondition);

/// As make_unet2d, load_unet2d and save_unet2d.
[[nodiscard]] UNet2DCondition make_unet2d_condition(const Json& config, std::uint64_t init_seed);
/// Of that shape, its weights not set yet; in evaluation mode.
[[nodiscard]] UNet2DCondition unset_unet2d_condition(const Json& config);
[[nodiscard]] UNet2DCondition load_unet2d_condition(const std::filesystem::path& folder);
void save_unet2d_condition(UNet2DCondition& model, const Json& config, const std::filesystem::path& folder);

}  // namespace guda::worker
