#include "worker/models/unet2d_condition.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "common/error.hpp"
#include "common/files.hpp"
#include "worker/models/convolution.hpp"
#include "worker/models/group_norm.hpp"
#include "worker/models/sample_gradients.hpp"
#include "worker/models/seeded_build.hpp"
#include "worker/models/weights.hpp"

namespace guda::worker {
namespace {

ResnetStyle style_of(const UNet2DConditionConfig& c) {
  return {.temb_channels = c.time_embed_dim(),
          .groups = c.norm_num_groups,
          .eps = c.norm_eps,
          .dropout = c.dropout,
          .scale_shift = c.resnet_time_scale_shift == "scale_shift",
          .output_scale = 1,
          .activation = activation_from(c.act_fn),
          .silu = c.act_fn == "silu" || c.act_fn == "swish"};
}

/// The transformer of block `i`, counted from the top resolution.
TransformerShape transformer_of(const UNet2DConditionConfig& c, std::size_t i) {
  return {.heads = c.attention_head_dim[i],
          .context = c.cross_attention_dim[i],
          .layers = c.transformer_layers_per_block[i],
          .linear_projection = c.use_linear_projection,
          .only_cross_attention = c.only_cross_attention[i]};
}

UNet2DCondition build(const UNet2DConditionConfig& config, std::uint64_t seed) {
  UNet2DCondition model{nullptr};
  build_seeded(seed, [&] { model = UNet2DCondition(config); });
  return model;
}

}  // namespace

UNet2DConditionImpl::UNet2DConditionImpl(UNet2DConditionConfig config) : config_(std::move(config)) {
  const UNet2DConditionConfig& c = config_;
  const ResnetStyle style = style_of(c);
  const std::int64_t first = c.block_out_channels.front(), temb = c.time_embed_dim();
  const std::size_t blocks = c.block_out_channels.size();

  conv_in_ =
      register_module("conv_in", torch::nn::Conv2d(torch::nn::Conv2dOptions(c.in_channels, first, 3).padding(1)));
  time_embedding_ = register_module("time_embedding", TimestepMlp(first, temb, style.activation));
  const std::int64_t vector = c.projection_class_embeddings_input_dim.value_or(0);
  if (c.class_embed_type == "timestep") {
    class_mlp_ = register_module("class_embedding", TimestepMlp(first, temb, style.activation));
  } else if (c.class_embed_type == "projection") {
    class_mlp_ = register_module("class_embedding", TimestepMlp(vector, temb));
  } else if (c.class_embed_type == "simple_projection") {
    class_projection_ = register_module("class_embedding", torch::nn::Linear(vector, temb));
  } else if (!c.class_embed_type && c.num_class_embeds) {
    class_table_ = register_module("class_embedding", torch::nn::Embedding(*c.num_class_embeds, temb));
  }

  down_blocks_ = register_module("down_blocks", torch::nn::ModuleList());
  std::int64_t channels = first;
  for (std::size_t i = 0; i < blocks; ++i) {
    const std::string& type = c.down_block_types[i];
    const std::int64_t out = c.block_out_channels[i];
    BlockShape shape{.in = channels,
                     .out = out,
                     .layers = c.layers_per_block[i],
                     .sampler = i + 1 == blocks ? Sampler::none : Sampler::conv,
                     .downsample_padding = c.downsample_padding};
    if (type == "AttnDownBlock2D") shape.attention_head_dim = c.attention_head_dim[i];
    if (type == "CrossAttnDownBlock2D") shape.transformer = transformer_of(c, i);
    down_blocks_->push_back(DownBlock(shape, style));
    channels = out;
  }

  if (c.mid_block_type) {
    ResnetStyle mid_style = style;
    mid_style.output_scale = c.mid_block_scale_factor;
    TransformerShape transformer;
    if (c.mid_block_type == "UNetMidBlock2DCrossAttn") {
      transformer = transformer_of(c, blocks - 1);
      transformer.only_cross_attention = false;  // diffusers does not pass it on
    }
    mid_block_ = register_module("mid_block", CrossMidBlock(channels, transformer, mid_style));
  }

  up_blocks_ = register_module("up_blocks", torch::nn::ModuleList());
  for (std::size_t i = 0; i < blocks; ++i) {
    const std::size_t level = blocks - 1 - i;
    const std::string& type = c.up_block_types[i];
    const std::int64_t out = c.block_out_channels[level];
    BlockShape shape{.in = channels,
                     .out = out,
                     .skip = c.block_out_channels[level > 0 ? level - 1 : 0],
                     .layers = c.layers_per_block[level] + 1,
                     .sampler = i + 1 == blocks ? Sampler::none : Sampler::conv};
    // Head sizes of plain attention are not reversed on the way up: as in diffusers.
    if (type == "AttnUpBlock2D") shape.attention_head_dim = c.attention_head_dim[i];
    if (type == "CrossAttnUpBlock2D") shape.transformer = transformer_of(c, level);
    up_blocks_->push_back(UpBlock(shape, style));
    channels = out;
  }

  norm_out_ = register_module(
      "conv_norm_out", torch::nn::GroupNorm(torch::nn::GroupNormOptions(c.norm_num_groups, first).eps(c.norm_eps)));
  conv_out_ =
      register_module("conv_out", torch::nn::Conv2d(torch::nn::Conv2dOptions(first, c.out_channels, 3).padding(1)));
}

at::Tensor UNet2DConditionImpl::embed_time(const at::Tensor& timestep) const {
  return sinusoidal_embedding(timestep, config_.block_out_channels.front(), config_.flip_sin_to_cos,
                              config_.freq_shift);
}

at::Tensor UNet2DConditionImpl::embed_class(const at::Tensor& labels) {
  if (class_table_) return apply_embedding(class_table_, labels);
  const at::ScalarType type = conv_in_->weight.scalar_type();
  if (class_projection_) return apply_linear(class_projection_, labels.to(type));
  if (class_mlp_) return class_mlp_((config_.class_embed_type == "timestep" ? embed_time(labels) : labels).to(type));
  return labels;
}

at::Tensor UNet2DConditionImpl::forward(const at::Tensor& sample, const at::Tensor& timestep,
                                        const at::Tensor& context_in, const at::Tensor& class_labels) {
  if (config_.has_class_embedding() != class_labels.defined()) {
    throw Error(class_labels.defined() ? "UNet2DCondition: class labels given, but the model has no class embedding"
                                       : "UNet2DCondition: the model has a class embedding and needs class labels");
  }
  const std::int64_t multiple = std::int64_t{1} << (config_.block_out_channels.size() - 1);
  if (sample.dim() != 4 || sample.size(1) != config_.in_channels || sample.size(2) % multiple != 0 ||
      sample.size(3) % multiple != 0) {
    throw Error(fmt::format("UNet2DCondition: sample of shape [{}] is not [N, {}, H, W] with H and W multiples of {}",
                            fmt::join(sample.sizes(), ", "), config_.in_channels, multiple));
  }
  const at::ScalarType type = conv_in_->weight.scalar_type();  // bfloat16 weights take bfloat16 activations
  const at::Tensor context = context_in.defined() ? context_in.to(type) : context_in;
  if (context.defined() && (context.dim() != 3 || context.size(0) != sample.size(0))) {
    throw Error(fmt::format("UNet2DCondition: context of shape [{}] is not [{}, M, width]",
                            fmt::join(context.sizes(), ", "), sample.size(0)));
  }
  // A scalar stays one row, which broadcasts: the embedding is then computed once for the whole batch.
  at::Tensor temb = time_embedding_(embed_time(timestep.dim() == 0 ? timestep.unsqueeze(0) : timestep).to(type));
  if (class_labels.defined()) temb = temb + embed_class(class_labels);
  temb = activation_from(config_.act_fn)(temb);

  at::Tensor x = convolve(conv_in_, (config_.center_input_sample ? 2 * sample - 1 : sample).to(type));
  // Convolutions are fastest on channels-last activations, and every layer keeps the layout it gets.
  x = x.contiguous(at::MemoryFormat::ChannelsLast);
  std::vector<at::Tensor> skips{x};
  for (const auto& block : *down_blocks_) x = block->as<DownBlockImpl>()->forward(x, temb, skips, context);
  if (mid_block_) x = mid_block_(x, temb, context);
  for (const auto& block : *up_blocks_) x = block->as<UpBlockImpl>()->forward(x, temb, skips, context);
  const bool silu = config_.act_fn == "silu" || config_.act_fn == "swish";
  x = group_norm(x, norm_out_->weight, norm_out_->bias, norm_out_->options.num_groups(), norm_out_->options.eps(),
                 silu);
  return convolve(conv_out_, silu ? x : activation_from(config_.act_fn)(x)).to(at::kFloat);
}

UNet2DCondition make_unet2d_condition(const Json& config, std::uint64_t init_seed) {
  return build(UNet2DConditionConfig::from_json(config, "model"), init_seed);
}

UNet2DCondition unset_unet2d_condition(const Json& config) {
  UNet2DCondition model{nullptr};
  build_unset([&] { model = UNet2DCondition(UNet2DConditionConfig::from_json(config, "model")); });
  model->eval();
  return model;
}

UNet2DCondition load_unet2d_condition(const std::filesystem::path& folder) {
  const std::string file = (folder / "config.json").string();
  UNet2DCondition model{nullptr};
  const auto config = UNet2DConditionConfig::from_json(read_model_config(folder), file);
  build_unset([&] { model = UNet2DCondition(config); });
  load_weights(*model, folder, kDiffusersWeights);
  model->eval();
  return model;
}

void save_unet2d_condition(UNet2DCondition& model, const Json& config, const std::filesystem::path& folder) {
  const Json full = UNet2DConditionConfig::from_json(config, "model").to_json();
  if (full != model->config().to_json()) throw Bug("save_unet2d_condition: the config is not that of the model");
  std::filesystem::create_directories(folder);
  save_weights(*model, folder / (std::string(kDiffusersWeights) + ".safetensors"));
  replace_file(folder / "config.json", full.dump(2) + "\n");
}

}  // namespace guda::worker
