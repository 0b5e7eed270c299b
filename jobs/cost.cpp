#include "jobs/cost.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <type_traits>
#include <vector>

#include "jobs/guide_model.hpp"

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

/// Transformer2DModel with one layer whose context is the pixels themselves: projections, two attentions, GEGLU.
double transformer(double channels, double pixels) {
  return 2 * attention(channels, pixels) + (2 + 12) * channels * channels * pixels;
}

enum class Skip { none, push, pop };

/// The layers of a UNet2DModel in the order of its forward, each as a call of `visit`.
template <class Visit>
void walk_unet2d(const Json& config, Visit&& visit) {
  const auto channels = config.value("block_out_channels", std::vector<double>{224, 448, 672, 896});
  const auto down = config.value("down_block_types", std::vector<std::string>(channels.size(), "DownBlock2D"));
  const auto up = config.value("up_block_types", std::vector<std::string>(channels.size(), "UpBlock2D"));
  const auto layers = config.value("layers_per_block", 2);
  double pixels = sample_pixels(config);
  visit.conv(config.value("in_channels", 3.0), channels.front(), pixels, Skip::push);
  double width = channels.front();
  std::vector<double> skips{width};
  for (std::size_t i = 0; i < channels.size(); ++i) {
    for (int layer = 0; layer < layers; ++layer) {
      const bool attends = i < down.size() && down[i].starts_with("Attn");
      visit.resnet(width, channels[i], pixels, attends ? Skip::none : Skip::push);
      if (attends) visit.attention(channels[i], pixels, Skip::push);
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
  const bool guide = is_guide_model(config);
  if (guide ? config.value("mid_block_type", "") != "UNetMidBlock2D" : config.value("add_attention", true)) {
    guide ? visit.transformer(width, pixels) : visit.attention(width, pixels, Skip::none);
    visit.resnet(width, width, pixels, Skip::none);
  } else if (!guide) {
    visit.resnet(width, width, pixels, Skip::none);
  }
  for (std::size_t i = 0; i < channels.size(); ++i) {
    const double out = channels[channels.size() - 1 - i];
    for (int layer = 0; layer <= layers; ++layer) {
      visit.resnet(width + skips.back(), out, pixels, Skip::pop);
      skips.pop_back();
      if (i < up.size() && up[i].starts_with("Attn")) visit.attention(out, pixels, Skip::none);
      width = out;
    }
    if (i + 1 < channels.size()) {
      pixels *= 4;
      visit.conv(width, width, pixels, Skip::none);
    }
  }
  visit.conv(width, config.value("out_channels", 3.0), pixels, Skip::none);
}

double embedding_width(const Json& config) {
  return 4 * config.value("block_out_channels", std::vector<double>{224}).front();
}

struct Macs {
  double embedding = 0, total = 0;
  void conv(double in, double out, double pixels, Skip) { total += guda::jobs::conv(in, out, 3, pixels); }
  void resnet(double in, double out, double pixels, Skip) { total += guda::jobs::resnet(in, out, pixels, embedding); }
  void attention(double channels, double pixels, Skip) { total += guda::jobs::attention(channels, pixels); }
  void transformer(double channels, double pixels) { total += guda::jobs::transformer(channels, pixels); }
};

struct Parameters {
  double embedding = 0, total = 0;
  void conv(double in, double out, double, Skip) { total += in * out * 9 + out; }
  void resnet(double in, double out, double, Skip) {
    total += 2 * in + in * out * 9 + out + embedding * out + out + 2 * out + out * out * 9 + out +
             (in == out ? 0 : in * out + out);
  }
  void attention(double channels, double, Skip) { total += 2 * channels + 4 * (channels * channels + channels); }
  void transformer(double channels, double) { total += 22 * channels * channels + 21 * channels; }
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
  void transformer(double channels, double pixels) {
    backward += (2 * 6 + 2 + 8 + 8 + 4) * channels * pixels + 2 * pixels * pixels;
    alive(10 * channels * pixels + pixels * pixels, channels * pixels, Skip::none);
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

double unet2d_macs(const Json& config) {
  const double embedding = embedding_width(config);
  Macs macs{embedding};
  walk_unet2d(config, macs);
  return macs.total + embedding / 4 * embedding + embedding * embedding;
}

double unet2d_parameters(const Json& config) {
  const double embedding = embedding_width(config);
  Parameters parameters{embedding};
  walk_unet2d(config, parameters);
  const auto first = config.value("block_out_channels", std::vector<double>{224}).front();
  const Json classes = config.value("num_class_embeds", Json());
  const double vector = config.value("projection_class_embeddings_input_dim", 0.0);
  const double table = classes.is_number() ? classes.get<double>() * embedding
                       : vector > 0        ? (vector + 1) * embedding + (embedding + 1) * embedding
                                           : 0;
  return parameters.total + (embedding / 4 * embedding + embedding) + (embedding * embedding + embedding) + table +
         2 * first;
}

Activations unet2d_activations(const Json& config) {
  Kept kept;
  walk_unet2d(config, kept);
  return {kept.backward, kept.forward};
}

double job_memory(const JobSpec& job, const Json& model) {
  const double parameters = unet2d_parameters(model);
  const Activations per_image = unet2d_activations(model);
  constexpr double kBytes = 4;
  return std::visit(
      [&](const auto& work) -> double {
        using T = std::decay_t<decltype(work)>;
        if constexpr (std::is_same_v<T, TrainSpec>) {
          // Weights, gradient, two moments, EMA; in a gang once more the gradient, to be added up.
          const double gang = std::max(1U, work.gang),
                       share = at_once(std::ceil(work.training.batch / gang), work.micro_batch);
          return kBytes * ((work.gang > 1 ? 6 : 5) * unet2d_parameters(work.model) +
                           unet2d_activations(work.model).backward * share);
        } else if constexpr (std::is_same_v<T, UnlearnSpec>) {
          const double rows = at_once(work.unlearn.retain_batch + work.unlearn.forget_batch, work.micro_batch);
          return kBytes * (5 * parameters + per_image.backward * rows);  // EMA's place: teacher
        } else if constexpr (std::is_same_v<T, SampleSpec>) {
          return work.from.empty()
                     ? 0
                     : kBytes * (parameters + per_image.forward * std::min(work.set.sampler.batch, work.set.count));
        } else if constexpr (std::is_same_v<T, ScoreSpec>) {
          return kBytes * (parameters + per_image.forward * work.batch);
        } else if constexpr (std::is_same_v<T, FeaturesSpec>) {
          constexpr double kRows = 256, kGradients = 1 << 25;  // worker/attribution/gradient_features.cpp
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

double forward_seconds(const Json& config, double forwards) {
  return 2 * unet2d_macs(config) * forwards / kAssumedFlops;
}

double training_seconds(const Json& config, double images) { return 3 * forward_seconds(config, images); }

double gang_training_seconds(const Json& config, const TrainingConfig& training, std::uint32_t gang) {
  const double share = std::ceil(double(training.batch) / std::max(1U, gang));
  const double reduced = gang > 1 ? unet2d_parameters(config) * gang / kAssumedReduced : 0;
  return training.steps * (training_seconds(config, share) + reduced);
}

}  // namespace guda::jobs
