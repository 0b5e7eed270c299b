#include "jobs/cost.hpp"

#include <string>
#include <vector>

namespace guda::jobs {
namespace {

double conv(double in, double out, double kernel, double pixels) { return in * out * kernel * kernel * pixels; }

double resnet(double in, double out, double pixels, double embedding) {
  return conv(in, out, 3, pixels) + conv(out, out, 3, pixels) + (in == out ? 0 : conv(in, out, 1, pixels)) + embedding * out;
}

double attention(double channels, double pixels) {
  return 4 * channels * channels * pixels + 2 * pixels * pixels * channels;
}

double sample_pixels(const Json& config) {
  const Json size = config.value("sample_size", Json(32));
  if (size.is_array()) return size.at(0).get<double>() * size.at(1).get<double>();
  return size.is_number() ? size.get<double>() * size.get<double>() : 1024.0;
}

}  // namespace

double unet2d_macs(const Json& config) {
  const auto channels = config.value("block_out_channels", std::vector<double>{224, 448, 672, 896});
  const auto down = config.value("down_block_types", std::vector<std::string>(channels.size(), "DownBlock2D"));
  const auto up = config.value("up_block_types", std::vector<std::string>(channels.size(), "UpBlock2D"));
  const auto layers = config.value("layers_per_block", 2);
  const double embedding = 4 * channels.front();
  double pixels = sample_pixels(config);
  double macs = conv(config.value("in_channels", 3.0), channels.front(), 3, pixels) + channels.front() * embedding + embedding * embedding;

  std::vector<double> skips{channels.front()};
  double width = channels.front();
  for (std::size_t i = 0; i < channels.size(); ++i) {
    for (int layer = 0; layer < layers; ++layer) {
      macs += resnet(width, channels[i], pixels, embedding);
      if (i < down.size() && down[i].starts_with("Attn")) macs += attention(channels[i], pixels);
      width = channels[i];
      skips.push_back(width);
    }
    if (i + 1 < channels.size()) {
      pixels /= 4;
      macs += conv(width, width, 3, pixels);
      skips.push_back(width);
    }
  }
  macs += 2 * resnet(width, width, pixels, embedding);
  if (config.value("add_attention", true)) macs += attention(width, pixels);
  for (std::size_t i = 0; i < channels.size(); ++i) {
    const double out = channels[channels.size() - 1 - i];
    for (int layer = 0; layer <= layers; ++layer) {
      macs += resnet(width + skips.back(), out, pixels, embedding);
      skips.pop_back();
      if (i < up.size() && up[i].starts_with("Attn")) macs += attention(out, pixels);
      width = out;
    }
    if (i + 1 < channels.size()) {
      pixels *= 4;
      macs += conv(width, width, 3, pixels);
    }
  }
  return macs + conv(width, config.value("out_channels", 3.0), 3, pixels);
}

double forward_seconds(const Json& config, double forwards) { return 2 * unet2d_macs(config) * forwards / kAssumedFlops; }

double training_seconds(const Json& config, double images) { return 3 * forward_seconds(config, images); }

}  // namespace guda::jobs
