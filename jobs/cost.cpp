#include "jobs/cost.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <type_traits>
#include <vector>

#include "jobs/layer_walk.hpp"
#include "jobs/memory.hpp"

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

/// Transformer2DModel with one layer: projections, self-attention, attention to the context, GEGLU.
double transformer(double channels, double pixels, const AttentionContext& context) {
  return attention(channels, pixels) + 2 * (channels * channels * pixels + context.width * channels * context.tokens) +
         2 * pixels * context.tokens * channels + (2 + 12) * channels * channels * pixels;
}

/// Products with the weights that `parameters` trains, forward.
struct TrainedMacs {
  ParametersConfig parameters;
  double total = 0;
  void conv(double, double, double, Skip) {}
  void resnet(double, double, double, Skip) {}
  void attention(double channels, double pixels, Skip) {
    if (parameters.kind == "attention") total += 4 * channels * channels * pixels;
  }
  void transformer(double channels, double pixels, const AttentionContext& context, Skip) {
    const double full = 6 * channels * channels * pixels + 2 * context.width * channels * context.tokens;
    const double pairs = parameters.rank * (12 * channels * pixels + 2 * (context.width + channels) * context.tokens);
    total += parameters.kind == "lora" ? pairs : full;
  }
};

struct Macs {
  double embedding = 0, total = 0;
  void conv(double in, double out, double pixels, Skip) { total += guda::jobs::conv(in, out, 3, pixels); }
  void resnet(double in, double out, double pixels, Skip) { total += guda::jobs::resnet(in, out, pixels, embedding); }
  void attention(double channels, double pixels, Skip) { total += guda::jobs::attention(channels, pixels); }
  void transformer(double channels, double pixels, const AttentionContext& context, Skip) {
    total += guda::jobs::transformer(channels, pixels, context);
  }
};

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

double training_seconds(const Json& config, double images, double tokens, const ParametersConfig& parameters,
                        bool recomputed) {
  const double forward = forward_seconds(config, images, tokens);
  const double again = recomputed ? forward : 0;
  if (parameters.empty()) return 3 * forward + again;
  // The way back passes through everything, but only these weights want a product of their own; a LoRA's pairs come on
  // top on every way.
  TrainedMacs trained{parameters};
  walk_unet2d(config, tokens, trained);
  const double share = trained.total / unet2d_macs(config, tokens);
  return (2 + (parameters.kind == "lora" ? 3 : 1) * share) * forward + again;
}

double gang_training_seconds(const Json& config, const TrainingConfig& training, const ResourcesConfig& resources,
                             double tokens) {
  const std::uint32_t gang = std::max(1U, resources.gang);
  const double share = std::ceil(double(training.batch) / gang);
  const double reduced = gang > 1 ? trained_parameters(config, training.parameters) * gang / kAssumedReduced : 0;
  return training.steps *
         (training_seconds(config, share, tokens, training.parameters, resources.gradient_checkpointing) + reduced);
}

}  // namespace guda::jobs
