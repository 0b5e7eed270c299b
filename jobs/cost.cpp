#include "jobs/cost.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <type_traits>
#include <vector>

#include "jobs/autoencoder_model.hpp"
#include "jobs/guide_model.hpp"
#include "jobs/unet_config.hpp"

namespace guda::jobs {
namespace {

double conv(double in, double out, double kernel, double pixels) { return in * out * kernel * kernel * pixels; }

double resnet(double in, double out, double pixels, double embedding) {
  return conv(in, out, 3, pixels) + conv(out, out, 3, pixels) + (in == out ? 0 : conv(in, out, 1, pixels)) +
         embedding * out;
}

double attention(double channels, double pixels) {
  return 4 * channels * channels * pixels + 2 * pixels * pixels * channels;
}

double sample_pixels(const Json& config) {
  const Json size = config.value("sample_size", Json(32));
  if (size.is_array()) return size.at(0).get<double>() * size.at(1).get<double>();
  return size.is_number() ? size.get<double>() * size.get<double>() : 1024.0;
}

/// What the cross-attention of Transformer2DModel looks at.
struct AttentionContext {
  double width = 0, tokens = 0;
};

/// Transformer2DModel with one layer: projections, self-attention, attention to the context, GEGLU.
double transformer(double channels, double pixels, const AttentionContext& context) {
  return attention(channels, pixels) + 2 * (channels * channels * pixels + context.width * channels * context.tokens) +
         2 * pixels * context.tokens * channels + (2 + 12) * channels * channels * pixels;
}

using Texts = std::vector<std::string>;

/// diffusers' defaults, of which UNet2DModel and UNet2DConditionModel have different ones.
std::vector<double> channels_of(const Json& config) {
  return config.value("block_out_channels", is_condition_model(config) ? std::vector<double>{320, 640, 1280, 1280}
                                                                       : std::vector<double>{224, 448, 672, 896});
}
Texts down_blocks_of(const Json& config, std::size_t blocks) {
  constexpr const char* kCross = "CrossAttnDownBlock2D";
  return config.value("down_block_types", is_condition_model(config) ? Texts{kCross, kCross, kCross, "DownBlock2D"}
                                                                     : Texts(blocks, "DownBlock2D"));
}
Texts up_blocks_of(const Json& config, std::size_t blocks) {
  constexpr const char* kCross = "CrossAttnUpBlock2D";
  return config.value("up_block_types", is_condition_model(config) ? Texts{"UpBlock2D", kCross, kCross, kCross}
                                                                   : Texts(blocks, "UpBlock2D"));
}

double image_channels(const Json& config, const char* key) {
  return config.value(key, is_condition_model(config) ? 4.0 : 3.0);
}

enum class Skip { none, push, pop };

/// The layers of a UNet2DModel in the order of its forward, each as a call of `visit`.
template <class Visit>
void walk_unet2d(const Json& config, double tokens, Visit&& visit) {
  const auto channels = channels_of(config);
  const auto down = down_blocks_of(config, channels.size()), up = up_blocks_of(config, channels.size());
  const auto layers = config.value("layers_per_block", 2);
  const bool condition = is_condition_model(config), guide = is_guide_model(config);
  const auto transformer = [&](double width, double at, Skip skip) {
    // A guide has no text: its context is the pixels themselves.
    visit.transformer(
        width, at,
        guide ? AttentionContext{width, at} : AttentionContext{config.value("cross_attention_dim", 1280.0), tokens},
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
  visit.resnet(width, width, pixels, Skip::none);
  if (condition ? config.value("mid_block_type", "") != "UNetMidBlock2D" : config.value("add_attention", true)) {
    condition ? transformer(width, pixels, Skip::none) : visit.attention(width, pixels, Skip::none);
    visit.resnet(width, width, pixels, Skip::none);
  } else if (!condition) {
    visit.resnet(width, width, pixels, Skip::none);
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
    if (config.value("mid_block_add_attention", true)) visit.attention(width, pixels, Skip::none);
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

double embedding_width(const Json& config) { return 4 * channels_of(config).front(); }

struct Macs {
  double embedding = 0, total = 0;
  void conv(double in, double out, double pixels, Skip) { total += guda::jobs::conv(in, out, 3, pixels); }
  void resnet(double in, double out, double pixels, Skip) { total += guda::jobs::resnet(in, out, pixels, embedding); }
  void attention(double channels, double pixels, Skip) { total += guda::jobs::attention(channels, pixels); }
  void transformer(double channels, double pixels, const AttentionContext& context, Skip) {
    total += guda::jobs::transformer(channels, pixels, context);
  }
};

struct Parameters {
  double embedding = 0, total = 0;
  void conv(double in, double out, double, Skip) { total += in * out * 9 + out; }
  void resnet(double in, double out, double, Skip) {
    total += 2 * in + in * out * 9 + out + (embedding > 0 ? embedding * out + out : 0) + 2 * out + out * out * 9 + out +
             (in == out ? 0 : in * out + out);
  }
  void attention(double channels, double, Skip) { total += 2 * channels + 4 * (channels * channels + channels); }
  void transformer(double channels, double, const AttentionContext& context, Skip) {
    total += 20 * channels * channels + 2 * context.width * channels + 21 * channels;
  }
};

/// Numbers kept: inputs of every convolution, linear layer, norm and activation (the fused norm + SiLU keeps its input
/// only).
struct Kept {
  double backward = 0, skipped = 0, forward = 0;
  std::vector<double> stack;
  void alive(double working, double output, Skip skip) {
    forward = std::max(forward, skipped + working);
    if (skip == Skip::push) {
      stack.push_back(output);
      skipped += output;
    } else if (skip == Skip::pop && !stack.empty()) {
      skipped -= stack.back();
      stack.pop_back();
    }
  }
  void conv(double in, double out, double pixels, Skip skip) {
    backward += in * pixels;
    alive((in + out) * pixels, out * pixels, skip);
  }
  void resnet(double in, double out, double pixels, Skip skip) {
    backward += (2 * in + 2 * out + (in == out ? 0 : in)) * pixels;
    alive((2 * in + 2 * out) * pixels, out * pixels, skip);
  }
  void transformer(double channels, double pixels, const AttentionContext& context, Skip skip) {
    backward += (2 * 6 + 2 + 8 + 8 + 4) * channels * pixels + (pixels + context.tokens) * pixels;
    alive(10 * channels * pixels + pixels * pixels, channels * pixels, skip);
  }
  void attention(double channels, double pixels, Skip skip) {
    backward += 6 * channels * pixels + pixels * pixels;
    alive(5 * channels * pixels + pixels * pixels, channels * pixels, skip);
  }
};

/// Rows whose activations are kept at a time.
double at_once(double rows, std::uint32_t micro_batch) {
  return micro_batch > 0 ? std::min(rows, double(micro_batch)) : rows;
}

}  // namespace

double unet2d_macs(const Json& config, double tokens) {
  if (is_autoencoder(config)) {
    Macs macs;
    walk_autoencoder(config, macs);
    return macs.total;
  }
  const double embedding = embedding_width(config);
  Macs macs{embedding};
  walk_unet2d(config, tokens, macs);
  return macs.total + embedding / 4 * embedding + embedding * embedding;
}

double unet2d_parameters(const Json& config) {
  if (is_autoencoder(config)) {
    Parameters parameters;
    walk_autoencoder(config, parameters);
    const double latent = config.at("latent_channels"), last = config.at("block_out_channels").back(),
                 first = config.at("block_out_channels").front();
    return parameters.total + 2 * (last + first) + (2 * latent + 1) * 2 * latent + (latent + 1) * latent;
  }
  const double embedding = embedding_width(config);
  Parameters parameters{embedding};
  walk_unet2d(config, kClipTokens, parameters);  // weights do not depend on the text
  const double first = channels_of(config).front();
  const Json classes = config.value("num_class_embeds", Json());
  const double vector = config.value("projection_class_embeddings_input_dim", 0.0);
  const double table = classes.is_number() ? classes.get<double>() * embedding
                       : vector > 0        ? (vector + 1) * embedding + (embedding + 1) * embedding
                                           : 0;
  return parameters.total + (embedding / 4 * embedding + embedding) + (embedding * embedding + embedding) + table +
         2 * first;
}

Activations unet2d_activations(const Json& config, double tokens) {
  Kept kept;
  if (is_autoencoder(config)) walk_autoencoder(config, kept);
  else walk_unet2d(config, tokens, kept);
  return {kept.backward, kept.forward};
}

double job_memory(const JobSpec& job, const Json& model, const FrozenParts& parts) {
  const double parameters = unet2d_parameters(model);
  // Numbers that the autoencoder takes for so many images at once.
  const auto coding = [&](double images) {
    return parts.autoencoder.is_null()
               ? 0
               : unet2d_parameters(parts.autoencoder) + unet2d_activations(parts.autoencoder).forward * images;
  };
  const auto encoded_at_once = [&] {  // worker/training/latent_table.cpp
    return parts.autoencoder.is_null() ? 0 : std::clamp(double(1 << 20) / sample_pixels(parts.autoencoder), 1.0, 64.0);
  };
  const Activations per_image = unet2d_activations(model, parts.tokens);
  constexpr double kBytes = 4;
  return std::visit(
      [&](const auto& work) -> double {
        using T = std::decay_t<decltype(work)>;
        if constexpr (std::is_same_v<T, TrainSpec>) {
          // Weights, gradient, two moments, EMA; in a gang once more the gradient, to be added up.
          const double gang = std::max(1U, work.gang),
                       share = at_once(std::ceil(work.training.batch / gang), work.micro_batch);
          return kBytes * ((work.gang > 1 ? 6 : 5) * unet2d_parameters(work.model) +
                           unet2d_activations(work.model, parts.tokens).backward * share);
        } else if constexpr (std::is_same_v<T, UnlearnSpec>) {
          const double rows = at_once(work.unlearn.retain_batch + work.unlearn.forget_batch, work.micro_batch);
          return kBytes * (5 * parameters + per_image.backward * rows);  // EMA's place: teacher
        } else if constexpr (std::is_same_v<T, SampleSpec>) {
          if (work.from.empty()) return 0;
          const double images = std::min(work.set.sampler.batch, work.set.count),
                       guided = work.set.sampler.guidance > 0 ? 2 : 1;
          return kBytes * (parameters + std::max(per_image.forward * images * guided, coding(images)));
        } else if constexpr (std::is_same_v<T, ScoreSpec>) {
          return kBytes * (parameters + std::max(per_image.forward * work.batch, coding(encoded_at_once())));
        } else if constexpr (std::is_same_v<T, FeaturesSpec>) {
          constexpr double kRows = 256, kGradients = 1 << 25;  // worker/attribution/gradient_features.cpp
          if (work.kind == "latents") return kBytes * coding(encoded_at_once());
          if (work.kind == "texts") return kBytes * 1.25 * parts.text_encoder;
          return work.kind == "clip" ? 2e9 : kBytes * (parameters + kGradients + per_image.backward * kRows);
        } else if constexpr (std::is_same_v<T, MirrorSpec>) {
          const double rows = work.method == "mucs" ? 2.0 * work.mucs.batch : 256.0;
          return kBytes * (5 * parameters + per_image.backward * rows);
        } else {
          return 0;
        }
      },
      job.work);
}

std::string cost_class(const Work& work) {
  if (const auto* unlearn = std::get_if<UnlearnSpec>(&work)) return "unlearn " + unlearn->unlearn.op;
  if (const auto* features = std::get_if<FeaturesSpec>(&work)) return "features " + features->kind;
  if (const auto* mirror = std::get_if<MirrorSpec>(&work)) return "mirror " + mirror->method;
  return kind_of(work);
}

double job_flops(const JobSpec& job) {
  const auto* sample = std::get_if<SampleSpec>(&job.work);
  if (std::holds_alternative<AttributeSpec>(job.work) || (sample != nullptr && sample->from.empty())) return 0;
  return job.cost * kAssumedFlops;
}

double forward_seconds(const Json& config, double forwards, double tokens) {
  return 2 * unet2d_macs(config, tokens) * forwards / kAssumedFlops;
}

double training_seconds(const Json& config, double images, double tokens) {
  return 3 * forward_seconds(config, images, tokens);
}

double gang_training_seconds(const Json& config, const TrainingConfig& training, std::uint32_t gang, double tokens) {
  const double share = std::ceil(double(training.batch) / std::max(1U, gang));
  const double reduced = gang > 1 ? unet2d_parameters(config) * gang / kAssumedReduced : 0;
  return training.steps * (training_seconds(config, share, tokens) + reduced);
}

}  // namespace guda::jobs
