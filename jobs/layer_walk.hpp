#pragma once
// The layers of the networks that are trained, as their config.json describes them, in the order of their forward: what
// costs and memory are counted from. Only for jobs/cost.cpp and jobs/memory.cpp.
#include <string>
#include <vector>

#include "common/json.hpp"
#include "jobs/autoencoder_model.hpp"
#include "jobs/guide_model.hpp"
#include "jobs/unet_config.hpp"

namespace guda::jobs {

/// diffusers writes keys that are not set as null.
template <class T>
T or_default(const Json& config, const char* key, T by_default) {
  const auto found = config.find(key);
  return found == config.end() || found->is_null() ? by_default : found->template get<T>();
}

inline double sample_pixels(const Json& config) {
  const Json size = config.value("sample_size", Json(32));
  if (size.is_array()) return size.at(0).get<double>() * size.at(1).get<double>();
  return size.is_number() ? size.get<double>() * size.get<double>() : 1024.0;
}

/// What the cross-attention of Transformer2DModel looks at.
struct AttentionContext {
  double width = 0, tokens = 0;
};

using Texts = std::vector<std::string>;

/// diffusers' defaults, of which UNet2DModel and UNet2DConditionModel have different ones.
inline std::vector<double> channels_of(const Json& config) {
  return or_default(
      config, "block_out_channels",
      is_condition_model(config) ? std::vector<double>{320, 640, 1280, 1280} : std::vector<double>{224, 448, 672, 896});
}
inline Texts down_blocks_of(const Json& config, std::size_t blocks) {
  constexpr const char* kCross = "CrossAttnDownBlock2D";
  return or_default(
      config, "down_block_types",
      is_condition_model(config) ? Texts{kCross, kCross, kCross, "DownBlock2D"} : Texts(blocks, "DownBlock2D"));
}
inline Texts up_blocks_of(const Json& config, std::size_t blocks) {
  constexpr const char* kCross = "CrossAttnUpBlock2D";
  return or_default(
      config, "up_block_types",
      is_condition_model(config) ? Texts{"UpBlock2D", kCross, kCross, kCross} : Texts(blocks, "UpBlock2D"));
}

inline double image_channels(const Json& config, const char* key) {
  return or_default(config, key, is_condition_model(config) ? 4.0 : 3.0);
}

enum class Skip { none, push, pop };

/// The layers of a UNet2DModel in the order of its forward, each as a call of `visit`; a text has `tokens`.
template <class Visit>
void walk_unet2d(const Json& config, double tokens, Visit&& visit) {
  const auto channels = channels_of(config);
  const auto down = down_blocks_of(config, channels.size()), up = up_blocks_of(config, channels.size());
  const auto layers = or_default(config, "layers_per_block", 2);
  const bool condition = is_condition_model(config), guide = is_guide_model(config);
  const auto transformer = [&](double width, double at, Skip skip) {
    // A guide has no text: its context is the pixels themselves.
    visit.transformer(width, at,
                      guide ? AttentionContext{width, at}
                            : AttentionContext{or_default(config, "cross_attention_dim", 1280.0), tokens},
                      skip);
  };
  double pixels = sample_pixels(config);
  visit.conv(image_channels(config, "in_channels"), channels.front(), pixels, Skip::push);
  double width = channels.front();
  std::vector<double> skips{width};
  for (std::size_t i = 0; i < channels.size(); ++i) {
    for (int layer = 0; layer < layers; ++layer) {
      const bool attends = i < down.size() && down[i].starts_with("Attn");
      const bool crosses = i < down.size() && down[i].starts_with("CrossAttn");
      visit.resnet(width, channels[i], pixels, attends || crosses ? Skip::none : Skip::push);
      if (attends) visit.attention(channels[i], pixels, Skip::push);
      if (crosses) transformer(channels[i], pixels, Skip::push);
      width = channels[i];
      skips.push_back(width);
    }
    if (i + 1 < channels.size()) {
      pixels /= 4;
      visit.conv(width, width, pixels, Skip::push);
      skips.push_back(width);
    }
  }
  const auto middle = config.find("mid_block_type");
  if (!condition) {
    visit.resnet(width, width, pixels, Skip::none);
    if (or_default(config, "add_attention", true)) visit.attention(width, pixels, Skip::none);
    visit.resnet(width, width, pixels, Skip::none);
  } else if (middle == config.end() || !middle->is_null()) {  // null: there is none
    visit.resnet(width, width, pixels, Skip::none);
    if (middle == config.end() || *middle != "UNetMidBlock2D") {
      transformer(width, pixels, Skip::none);
      visit.resnet(width, width, pixels, Skip::none);
    }
  }
  for (std::size_t i = 0; i < channels.size(); ++i) {
    const double out = channels[channels.size() - 1 - i];
    for (int layer = 0; layer <= layers; ++layer) {
      visit.resnet(width + skips.back(), out, pixels, Skip::pop);
      skips.pop_back();
      if (i < up.size() && up[i].starts_with("Attn")) visit.attention(out, pixels, Skip::none);
      if (i < up.size() && up[i].starts_with("CrossAttn")) transformer(out, pixels, Skip::none);
      width = out;
    }
    if (i + 1 < channels.size()) {
      pixels *= 4;
      visit.conv(width, width, pixels, Skip::none);
    }
  }
  visit.conv(width, image_channels(config, "out_channels"), pixels, Skip::none);
}

/// The layers of an AutoencoderKL, encoder then decoder.
template <class Visit>
void walk_autoencoder(const Json& config, Visit&& visit) {
  const auto channels = config.at("block_out_channels").get<std::vector<double>>();
  const double latent = config.at("latent_channels");
  const int layers = config.at("layers_per_block");
  double pixels = sample_pixels(config), width = channels.front();
  const auto middle = [&] {
    visit.resnet(width, width, pixels, Skip::none);
    if (or_default(config, "mid_block_add_attention", true)) visit.attention(width, pixels, Skip::none);
    visit.resnet(width, width, pixels, Skip::none);
  };
  const auto block = [&](double out, int count) {
    for (int layer = 0; layer < count; ++layer) {
      visit.resnet(width, out, pixels, Skip::none);
      width = out;
    }
  };
  visit.conv(config.at("in_channels"), width, pixels, Skip::none);
  for (std::size_t i = 0; i < channels.size(); ++i) {
    block(channels[i], layers);
    if (i + 1 == channels.size()) break;
    pixels /= 4;
    visit.conv(width, width, pixels, Skip::none);
  }
  middle();
  visit.conv(width, 2 * latent, pixels, Skip::none);
  visit.conv(latent, width, pixels, Skip::none);
  middle();
  for (std::size_t i = channels.size(); i-- > 0;) {
    block(channels[i], layers + 1);
    if (i == 0) break;
    pixels *= 4;
    visit.conv(width, width, pixels, Skip::none);
  }
  visit.conv(width, config.at("out_channels"), pixels, Skip::none);
}

inline double embedding_width(const Json& config) { return 4 * channels_of(config).front(); }

}  // namespace guda::jobs
