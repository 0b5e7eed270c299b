#include "worker/models/unet2d.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/types.h>

#include <utility>

#include "common/error.hpp"
#include "common/files.hpp"
#include "worker/models/convolution.hpp"
#include "worker/models/group_norm.hpp"
#include "worker/models/sample_gradients.hpp"
#include "worker/models/seeded_build.hpp"
#include "worker/models/weights.hpp"

namespace guda::worker {
namespace {

std::int64_t head_dim_of(const UNet2DConfig& c, std::uint32_t channels) {
  return c.attention_head_dim.value_or(channels);
}

ResnetStyle style_of(const UNet2DConfig& c) {
  return {.temb_channels = c.time_embed_dim(),
          .groups = c.norm_num_groups,
          .eps = c.norm_eps,
          .dropout = c.dropout,
          .scale_shift = c.resnet_time_scale_shift == "scale_shift",
          .output_scale = 1,
          .activation = activation_from(c.act_fn),
          .silu = c.act_fn == "silu" || c.act_fn == "swish"};
}

/// Blocks without attention always resample by convolution, whatever the config says (as in diffusers).
Sampler sampler_of(bool last, bool attention, const std::string& type) {
  if (last) return Sampler::none;
  return attention && type == "resnet" ? Sampler::resnet : Sampler::conv;
}

UNet2D build(const UNet2DConfig& config, std::uint64_t seed) {
  UNet2D model{nullptr};
  build_seeded(seed, [&] { model = UNet2D(config); });
  return model;
}

}  // namespace

UNet2DImpl::UNet2DImpl(UNet2DConfig config) : config_(std::move(config)) {
  const UNet2DConfig& c = config_;
  const ResnetStyle style = style_of(c);
  const std::int64_t first = c.block_out_channels.front(), temb = c.time_embed_dim();
  const std::size_t blocks = c.block_out_channels.size();
  const bool fourier = c.time_embedding_type == "fourier";
  const std::int64_t time_channels = fourier ? 2 * first : first;

  conv_in_ =
      register_module("conv_in", torch::nn::Conv2d(torch::nn::Conv2dOptions(c.in_channels, first, 3).padding(1)));
  if (fourier) fourier_ = register_module("time_proj", FourierProjection(first));
  time_embedding_ = register_module("time_embedding", TimestepMlp(time_channels, temb));
  if (c.class_embed_type == "timestep") {
    class_timestep_ = register_module("class_embedding", TimestepMlp(time_channels, temb));
  } else if (!c.class_embed_type && c.num_class_embeds) {
    class_table_ = register_module("class_embedding", torch::nn::Embedding(*c.num_class_embeds, temb));
  }

  down_blocks_ = register_module("down_blocks", torch::nn::ModuleList());
  std::int64_t channels = first;
  for (std::size_t i = 0; i < blocks; ++i) {
    const bool attention = c.down_block_types[i] == "AttnDownBlock2D";
    const std::uint32_t out = c.block_out_channels[i];
    down_blocks_->push_back(DownBlock(BlockShape{.in = channels,
                                                 .out = out,
                                                 .layers = c.layers_per_block,
                                                 .attention_head_dim = attention ? head_dim_of(c, out) : 0,
                                                 .sampler = sampler_of(i + 1 == blocks, attention, c.downsample_type),
                                                 .downsample_padding = c.downsample_padding},
                                      style));
    channels = out;
  }

  ResnetStyle mid_style = style;
  mid_style.output_scale = c.mid_block_scale_factor;
  std::optional<std::int64_t> attention_groups = c.attn_norm_num_groups;
  if (!attention_groups && !style.scale_shift) attention_groups = style.groups;
  const std::uint32_t last = c.block_out_channels.back();
  mid_block_ = register_module("mid_block",
                               MidBlock(last, c.add_attention ? head_dim_of(c, last) : 0, attention_groups, mid_style));

  up_blocks_ = register_module("up_blocks", torch::nn::ModuleList());
  for (std::size_t i = 0; i < blocks; ++i) {
    const bool attention = c.up_block_types[i] == "AttnUpBlock2D";
    const std::uint32_t out = c.block_out_channels[blocks - 1 - i];
    up_blocks_->push_back(UpBlock(BlockShape{.in = channels,
                                             .out = out,
                                             .skip = c.block_out_channels[i + 1 < blocks ? blocks - 2 - i : 0],
                                             .layers = c.layers_per_block + 1,
                                             .attention_head_dim = attention ? head_dim_of(c, out) : 0,
                                             .sampler = sampler_of(i + 1 == blocks, attention, c.upsample_type)},
                                  style));
    channels = out;
  }

  norm_out_ = register_module(
      "conv_norm_out", torch::nn::GroupNorm(torch::nn::GroupNormOptions(c.norm_num_groups, first).eps(c.norm_eps)));
  conv_out_ =
      register_module("conv_out", torch::nn::Conv2d(torch::nn::Conv2dOptions(first, c.out_channels, 3).padding(1)));
}

at::Tensor UNet2DImpl::embed_time(const at::Tensor& timestep) {
  if (fourier_) return fourier_(timestep);
  return sinusoidal_embedding(timestep, config_.block_out_channels.front(), config_.flip_sin_to_cos,
                              config_.freq_shift);
}

at::Tensor UNet2DImpl::embed_class(const at::Tensor& labels) {
  if (class_table_) return apply_embedding(class_table_, labels);
  if (class_timestep_) return class_timestep_(embed_time(labels).to(conv_in_->weight.scalar_type()));
  return labels;
}

at::Tensor UNet2DImpl::forward(const at::Tensor& sample, const at::Tensor& timestep, const at::Tensor& class_labels) {
  if (config_.has_class_embedding() != class_labels.defined()) {
    throw Error(class_labels.defined() ? "UNet2D: class labels given, but the model has no class embedding"
                                       : "UNet2D: the model has a class embedding and needs class labels");
  }
  const std::int64_t multiple = std::int64_t{1} << (config_.block_out_channels.size() - 1);
  if (sample.dim() != 4 || sample.size(1) != config_.in_channels || sample.size(2) % multiple != 0 ||
      sample.size(3) % multiple != 0) {
    throw Error(fmt::format("UNet2D: sample of shape [{}] is not [N, {}, H, W] with H and W multiples of {}",
                            fmt::join(sample.sizes(), ", "), config_.in_channels, multiple));
  }
  // A scalar stays one row, which broadcasts: the embedding is then computed once for the whole batch.
  const at::Tensor t = timestep.dim() == 0 ? timestep.unsqueeze(0) : timestep;
  const at::ScalarType type = conv_in_->weight.scalar_type();  // bfloat16 weights take bfloat16 activations
  at::Tensor temb = time_embedding_(embed_time(t).to(type));
  if (class_labels.defined()) temb = temb + embed_class(class_labels);
  temb = activation_from(config_.act_fn)(temb);

  at::Tensor x = convolve(conv_in_, (config_.center_input_sample ? 2 * sample - 1 : sample).to(type));
  // Convolutions are fastest on channels-last activations, and every layer keeps the layout it gets.
  x = x.contiguous(at::MemoryFormat::ChannelsLast);
  std::vector<at::Tensor> skips{x};
  for (const auto& block : *down_blocks_) x = block->as<DownBlockImpl>()->forward(std::move(x), temb, skips);
  x = mid_block_(std::move(x), temb);
  for (const auto& block : *up_blocks_) x = block->as<UpBlockImpl>()->forward(std::move(x), temb, skips);
  x = convolve(conv_out_, group_norm(x, norm_out_->weight, norm_out_->bias, norm_out_->options.num_groups(),
                                     norm_out_->options.eps(), true))
          .to(at::kFloat);
  return fourier_ ? x / t.to(x.scalar_type()).view({-1, 1, 1, 1}) : x;
}

UNet2D make_unet2d(const Json& config, std::uint64_t init_seed) {
  return build(UNet2DConfig::from_json(config, "model"), init_seed);
}

UNet2D copy_unet2d(const UNet2D& model) {
  UNet2D copy = build(model->config(), 0);
  const at::NoGradGuard no_grad;
  const auto from = model->named_parameters();
  for (auto& p : copy->named_parameters()) p.value().set_data(from[p.key()].detach().clone());
  copy->train(model->is_training());
  return copy;
}

UNet2D unset_unet2d(const Json& config) {
  UNet2D model{nullptr};
  build_unset([&] { model = UNet2D(UNet2DConfig::from_json(config, "model")); });
  model->eval();
  return model;
}

UNet2D load_unet2d(const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / "config.json";
  UNet2D model{nullptr};
  const auto config = UNet2DConfig::from_json(read_model_config(folder), file.string());
  build_unset([&] { model = UNet2D(config); });
  load_weights(*model, folder, kDiffusersWeights);
  model->eval();
  return model;
}

void save_unet2d(UNet2D& model, const Json& config, const std::filesystem::path& folder) {
  const Json full = UNet2DConfig::from_json(config, "model").to_json();
  if (full != model->config().to_json()) throw Bug("save_unet2d: the config is not that of the model");
  std::filesystem::create_directories(folder);
  save_weights(*model, folder / (std::string(kDiffusersWeights) + ".safetensors"));
  replace_file(folder / "config.json", full.dump(2) + "\n");
}

}  // namespace guda::worker
