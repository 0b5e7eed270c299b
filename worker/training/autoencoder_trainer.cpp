#include "worker/training/autoencoder_trainer.hpp"

#include <algorithm>
#include <cmath>

#include "worker/device/device.hpp"
#include "worker/training/examples.hpp"
#include "worker/training/fit.hpp"
#include "worker/training/images.hpp"
#include "worker/training/latent_table.hpp"
#include "worker/training/streams.hpp"

namespace guda::worker {
namespace {

constexpr std::size_t kScaledImages = 2000;  // that the scale of latents is measured on

/// 1 / standard deviation of the means of latents.
double scaling_factor(AutoencoderKL& model, const jobs::Dataset& dataset, torch::Device device) {
  const std::size_t count = std::min(kScaledImages, dataset.train.size());
  const ImagesAt images = [&](std::int64_t first, std::int64_t some) {
    return gather_images(
        dataset, std::span(dataset.train).subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(some)));
  };
  const torch::Tensor mean = encode_images(model, images, static_cast<std::int64_t>(count), false, device, [] {}).mean;
  return 1 / mean.to(torch::kFloat64).std(/*unbiased=*/false).item<double>();
}

/// A model with the same parameters and another scaling factor.
AutoencoderKL rescaled(const AutoencoderKL& model, double factor) {
  AutoencoderKLConfig config = model->config();
  config.scaling_factor = factor;
  AutoencoderKL scaled = make_autoencoder_kl(config.to_json(), 0);
  const torch::NoGradGuard no_grad;
  const auto from = model->named_parameters();
  for (auto& parameter : scaled->named_parameters()) parameter.value().copy_(from[parameter.key()]);
  scaled->eval();
  return scaled;
}

}  // namespace

TrainedAutoencoder train_autoencoder(const jobs::TrainSpec& spec, const jobs::Dataset& dataset, torch::Device device,
                                     const std::function<void(const Progress&)>& progress, JobCheckpoints* checkpoints,
                                     Gang* gang) {
  const jobs::TrainingConfig& config = spec.training;
  const SeedPath seed = SeedPath(spec.seed) / "train";
  AutoencoderKL model = make_autoencoder_kl(spec.model, (seed / "init").value());
  move_to(*model, device);
  Examples examples(dataset);
  examples.move_to(device);
  ItemStream stream(seed / "items", dataset.train);
  const DrawBatch draw = [&](std::uint64_t step) {
    TrainingBatch batch;
    batch.items = stream.batch(step, config.batch);
    batch.timesteps.assign(config.batch, 0);
    const auto flips = config.horizontal_flip ? draw_flips(seed / "flip", step, config.batch) : std::vector<bool>{};
    const auto side = static_cast<std::int64_t>(model->config().reduction());
    const torch::Tensor images = examples.pixels(batch.items, flips);
    const torch::Tensor noise = draw_noise(
        seed / "noise", step,
        {images.size(0), model->config().latent_channels, images.size(2) / side, images.size(3) / side}, device);
    batch.inputs = {images, noise};
    return batch;
  };
  TrainedParameters all(*model, {}, seed);
  const RowLosses row_losses = [&](std::span<const torch::Tensor> inputs) {
    const torch::Tensor& shown = inputs[0];
    const LatentMoments latents = model->encode(shown);
    const torch::Tensor drawn = latents.mean + (latents.logvar * 0.5).exp() * inputs[1];
    const torch::Tensor divergence =
        (latents.mean.square() + latents.logvar.exp() - 1 - latents.logvar).sum({1, 2, 3}) * 0.5;
    return (model->decode(drawn) - shown).square().mean({1, 2, 3}) + spec.kl_weight * divergence;
  };
  const Losses losses = fit(*model, all, draw, row_losses,
                            {config, spec.micro_batch, seed, device, /*graphs=*/true, checkpoints, gang}, progress);
  return {rescaled(model, scaling_factor(model, dataset, device)), losses.first, losses.last};
}

}  // namespace guda::worker
