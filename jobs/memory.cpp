#include "jobs/memory.hpp"

#include <algorithm>
#include <cmath>
#include <type_traits>
#include <vector>

#include "jobs/layer_walk.hpp"

namespace guda::jobs {
namespace {

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

/// Numbers that are trained where not all are.
struct Trained {
  ParametersConfig parameters;
  double total = 0;
  void conv(double, double, double, Skip) {}
  void resnet(double, double, double, Skip) {}
  void attention(double channels, double, Skip) {
    if (parameters.kind == "attention") total += 4 * (channels * channels + channels);
  }
  void transformer(double channels, double, const AttentionContext& context, Skip) {
    total += parameters.kind == "lora" ? parameters.rank * (14 * channels + 2 * context.width)
                                       : 6 * channels * channels + 2 * context.width * channels + 2 * channels;
  }
};

/// Numbers kept: inputs of every convolution, linear layer, norm and activation (the fused norm + SiLU keeps its input
/// only, attention nothing of its table of scores).
struct Kept {
  double backward = 0, inputs = 0, largest = 0, skipped = 0, forward = 0;
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
  /// A block whose inputs are enough to compute the rest again.
  void block(double input, double kept) {
    backward += kept;
    inputs += input;
    largest = std::max(largest, kept);
  }
  void conv(double in, double out, double pixels, Skip skip) {
    backward += in * pixels;
    inputs += in * pixels;
    alive((in + out) * pixels, out * pixels, skip);
  }
  void resnet(double in, double out, double pixels, Skip skip) {
    block(in * pixels, (2 * in + 2 * out + (in == out ? 0 : in)) * pixels);
    alive((2 * in + 2 * out) * pixels, out * pixels, skip);
  }
  void transformer(double channels, double pixels, const AttentionContext&, Skip skip) {
    // Norms 4, projections in and out 2, two attentions 7, residual sums 2, GEGLU 8 + 4 + 4.
    block(channels * pixels, 31 * channels * pixels);
    // In the feed-forward layer: value and gate 8, gelu 4, product 4, tokens, their norm, input.
    alive(19 * channels * pixels, channels * pixels, skip);
  }
  void attention(double channels, double pixels, Skip skip) {
    block(channels * pixels, 6 * channels * pixels);
    alive(5 * channels * pixels, channels * pixels, skip);
  }
};

/// Rows whose activations are kept at a time.
double at_once(double rows, std::uint32_t micro_batch) {
  return micro_batch > 0 ? std::min(rows, double(micro_batch)) : rows;
}

}  // namespace

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
  const double vector = or_default(config, "projection_class_embeddings_input_dim", 0.0);
  const double table = classes.is_number() ? classes.get<double>() * embedding
                       : vector > 0        ? (vector + 1) * embedding + (embedding + 1) * embedding
                                           : 0;
  return parameters.total + (embedding / 4 * embedding + embedding) + (embedding * embedding + embedding) + table +
         2 * first;
}

double trained_parameters(const Json& config, const ParametersConfig& parameters) {
  if (parameters.empty()) return unet2d_parameters(config);
  Trained trained{parameters};
  walk_unet2d(config, kClipTokens, trained);
  return trained.total;
}

Activations unet2d_activations(const Json& config, double tokens) {
  Kept kept;
  if (is_autoencoder(config)) walk_autoencoder(config, kept);
  else walk_unet2d(config, tokens, kept);
  return {kept.backward, kept.inputs + kept.largest, kept.forward};
}

double job_memory(const JobSpec& job, const Experiment& experiment, const FrozenParts& parts) {
  const Json& model = experiment.model;
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
  const auto kept = [&](const Activations& a) {
    return experiment.resources.gradient_checkpointing ? a.recomputed : a.backward;
  };
  // An autoencoder's blocks are not recomputed.
  const auto trained = [&](const Json& config) {
    const Activations a = unet2d_activations(config, parts.tokens);
    return is_autoencoder(config) ? a.backward : kept(a);
  };
  // Beside the weights themselves; a LoRA's pairs are numbers of their own.
  const auto training = [](const Json& config, const ParametersConfig& p, double copies) {
    return (copies + (p.kind == "lora" ? 1 : 0)) * trained_parameters(config, p);
  };
  return std::visit(
      [&](const auto& work) -> double {
        using T = std::decay_t<decltype(work)>;
        if constexpr (std::is_same_v<T, TrainSpec>) {
          // Gradient, two moments, EMA; in a gang once more the gradient, to be added up.
          const double gang = std::max(1U, work.gang),
                       share = at_once(std::ceil(work.training.batch / gang), work.micro_batch);
          const double copies = 3 + (work.training.ema_max_decay > 0 ? 1 : 0) + (work.gang > 1 ? 1 : 0);
          return kBytes * (unet2d_parameters(work.model) + training(work.model, work.training.parameters, copies) +
                           trained(work.model) * share);
        } else if constexpr (std::is_same_v<T, UnlearnSpec>) {
          const UnlearnConfig& u = work.unlearn;
          const double rows = at_once(step_rows(u), work.micro_batch);
          // A teacher's weights are those of the model where both are the same.
          const double teacher = !is_taught(u)                 ? 0
                                 : u.parameters.empty()        ? parameters
                                 : u.parameters.kind == "lora" ? 0
                                                               : trained_parameters(model, u.parameters);
          return kBytes * (parameters + teacher + training(model, u.parameters, 3) + kept(per_image) * rows);
        } else if constexpr (std::is_same_v<T, SampleSpec>) {
          if (work.from.empty()) return 0;
          const double images = std::min(work.set.sampler.batch, work.set.count),
                       guided = work.set.sampler.guidance > 0 ? 2 : 1;
          return kBytes * (parameters + std::max(per_image.forward * images * guided, coding(images)));
        } else if constexpr (std::is_same_v<T, ScoreSpec>) {
          return kBytes * (parameters + std::max(per_image.forward * work.batch, coding(encoded_at_once())));
        } else if constexpr (std::is_same_v<T, FeaturesSpec>) {
          constexpr double kRows = 256, kGradients = 1 << 25;  // worker/attribution/gradient_features.cpp
          if (work.kind == "clip") return 2e9;
          if (work.kind == "latents") return kBytes * coding(encoded_at_once());
          if (work.kind == "texts") return kBytes * 1.25 * parts.text_encoder;
          return kBytes * (parameters + kGradients + per_image.backward * kRows);
        } else if constexpr (std::is_same_v<T, MirrorSpec>) {
          const double rows = work.method == "mucs" ? 2.0 * work.mucs.batch : 256.0;
          return kBytes * (5 * parameters + per_image.backward * rows);
        } else {
          return 0;
        }
      },
      job.work);
}

}  // namespace guda::jobs
