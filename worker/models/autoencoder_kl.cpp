#include "worker/models/autoencoder_kl.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "common/error.hpp"
#include "common/files.hpp"
#include "worker/models/convolution.hpp"
#include "worker/models/group_norm.hpp"
#include "worker/models/seeded_build.hpp"
#include "worker/models/weights.hpp"

namespace guda::worker {
namespace {

constexpr double kAutoencoderNormEps = 1e-6;  // diffusers' constant of this model
constexpr double kLowestLogvar = -30, kHighestLogvar = 20;

ResnetStyle autoencoder_style(const AutoencoderKLConfig& c) {
  ResnetStyle style;
  style.groups = c.norm_num_groups;
  style.eps = kAutoencoderNormEps;
  style.activation = activation_from(c.act_fn);
  style.silu = c.act_fn == "silu" || c.act_fn == "swish";
  return style;
}

torch::nn::Conv2d pixelwise(std::int64_t channels) {
  return torch::nn::Conv2d(torch::nn::Conv2dOptions(channels, channels, 1));
}

void require_images(const char* what, const at::Tensor& x, std::int64_t channels, std::int64_t multiple) {
  if (x.dim() == 4 && x.size(1) == channels && x.size(2) % multiple == 0 && x.size(3) % multiple == 0) return;
  throw Error(fmt::format("AutoencoderKL: {} of shape [{}] are not [N, {}, H, W] with H and W multiples of {}", what,
                          fmt::join(x.sizes(), ", "), channels, multiple));
}

AutoencoderKL built(const AutoencoderKLConfig& config, std::uint64_t seed) {
  AutoencoderKL model{nullptr};
  build_seeded(seed, [&] { model = AutoencoderKL(config); });
  return model;
}

}  // namespace

AutoencoderBlockImpl::AutoencoderBlockImpl(std::int64_t in, std::int64_t out, std::int64_t layers, Resize resize,
                                           const ResnetStyle& style) {
  torch::nn::ModuleList resnets;
  for (std::int64_t i = 0; i < layers; ++i) {
    resnets_.emplace_back(i == 0 ? in : out, out, style);
    resnets->push_back(resnets_.back());
  }
  register_module("resnets", resnets);
  if (resize == Resize::halve) {
    downsample_ = Downsample(out, /*padding=*/0);
    register_module("downsamplers", torch::nn::ModuleList(downsample_));
  } else if (resize == Resize::twice) {
    upsample_ = Upsample(out);
    register_module("upsamplers", torch::nn::ModuleList(upsample_));
  }
}

at::Tensor AutoencoderBlockImpl::forward(at::Tensor x) {
  for (ResnetBlock& resnet : resnets_) x = resnet(x, at::Tensor());
  if (downsample_) return downsample_(x);
  return upsample_ ? upsample_(x) : x;
}

AutoencoderHalfImpl::AutoencoderHalfImpl(const AutoencoderKLConfig& c, Side side) : encoder_(side == Side::encoder) {
  using Resize = AutoencoderBlockImpl::Resize;
  const ResnetStyle style = autoencoder_style(c);
  std::vector<std::int64_t> channels(c.block_out_channels.begin(), c.block_out_channels.end());
  const std::int64_t deepest = channels.back();
  if (!encoder_) std::reverse(channels.begin(), channels.end());
  const std::int64_t in = encoder_ ? c.in_channels : c.latent_channels;
  const std::int64_t out = encoder_ ? 2 * c.latent_channels : c.out_channels;

  const auto conv3x3 = [](std::int64_t from, std::int64_t to) {
    return torch::nn::Conv2d(torch::nn::Conv2dOptions(from, to, 3).padding(1));
  };
  conv_in_ = register_module("conv_in", conv3x3(in, channels.front()));
  torch::nn::ModuleList blocks;
  for (std::size_t i = 0; i < channels.size(); ++i) {
    const Resize resize = i + 1 == channels.size() ? Resize::none : encoder_ ? Resize::halve : Resize::twice;
    blocks_.emplace_back(channels[i > 0 ? i - 1 : 0], channels[i], c.layers_per_block + (encoder_ ? 0 : 1), resize,
                         style);
    blocks->push_back(blocks_.back());
  }
  register_module(encoder_ ? "down_blocks" : "up_blocks", blocks);
  mid_block_ = register_module("mid_block",
                               MidBlock(deepest, c.mid_block_add_attention ? deepest : 0, c.norm_num_groups, style));
  norm_out_ = register_module(
      "conv_norm_out",
      torch::nn::GroupNorm(torch::nn::GroupNormOptions(c.norm_num_groups, channels.back()).eps(kAutoencoderNormEps)));
  conv_out_ = register_module("conv_out", conv3x3(channels.back(), out));
}

at::Tensor AutoencoderHalfImpl::forward(at::Tensor x) {
  x = convolve(conv_in_, x);
  // Convolutions are fastest on channels-last activations, and every layer keeps the layout it gets.
  x = x.contiguous(at::MemoryFormat::ChannelsLast);
  if (!encoder_) x = mid_block_(x, at::Tensor());
  for (AutoencoderBlock& block : blocks_) x = block(x);
  if (encoder_) x = mid_block_(x, at::Tensor());
  x = group_norm(x, norm_out_->weight, norm_out_->bias, norm_out_->options.num_groups(), norm_out_->options.eps(),
                 /*silu=*/true);
  return convolve(conv_out_, x);
}

AutoencoderKLImpl::AutoencoderKLImpl(AutoencoderKLConfig config) : config_(std::move(config)) {
  using Side = AutoencoderHalfImpl::Side;
  encoder_ = register_module("encoder", AutoencoderHalf(config_, Side::encoder));
  decoder_ = register_module("decoder", AutoencoderHalf(config_, Side::decoder));
  const std::int64_t latent = config_.latent_channels;
  if (config_.use_quant_conv) quant_conv_ = register_module("quant_conv", pixelwise(2 * latent));
  if (config_.use_post_quant_conv) post_quant_conv_ = register_module("post_quant_conv", pixelwise(latent));
}

LatentMoments AutoencoderKLImpl::encode(const at::Tensor& images) {
  require_images("images", images, config_.in_channels, config_.reduction());
  at::Tensor x = encoder_(images);
  if (quant_conv_) x = convolve(quant_conv_, x);
  const std::vector<at::Tensor> halves = x.chunk(2, 1);
  return {.mean = halves[0], .logvar = halves[1].clamp(kLowestLogvar, kHighestLogvar)};
}

at::Tensor AutoencoderKLImpl::decode(const at::Tensor& latents) {
  require_images("latents", latents, config_.latent_channels, 1);
  return decoder_(post_quant_conv_ ? convolve(post_quant_conv_, latents) : latents);
}

AutoencoderKL make_autoencoder_kl(const Json& config, std::uint64_t init_seed) {
  return built(AutoencoderKLConfig::from_json(config, "autoencoder"), init_seed);
}

AutoencoderKL load_autoencoder_kl(const std::filesystem::path& folder) {
  const std::string file = (folder / "config.json").string();
  AutoencoderKL model = built(AutoencoderKLConfig::from_json(read_model_config(folder), file), 0);
  load_weights(*model, folder, kDiffusersWeights);
  model->eval();
  return model;
}

void save_autoencoder_kl(AutoencoderKL& model, const std::filesystem::path& folder) {
  std::filesystem::create_directories(folder);
  save_weights(*model, folder / (std::string(kDiffusersWeights) + ".safetensors"));
  replace_file(folder / "config.json", model->config().to_json().dump(2) + "\n");
}

}  // namespace guda::worker
