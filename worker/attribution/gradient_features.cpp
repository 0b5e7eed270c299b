#include "worker/attribution/gradient_features.hpp"

#include <algorithm>
#include <limits>
#include <vector>

#include "common/digest.hpp"
#include "common/error.hpp"
#include "common/random.hpp"
#include "jobs/noise_schedule.hpp"
#include "worker/attribution/projection.hpp"
#include "worker/attribution/sample_gradients.hpp"
#include "worker/diffusion/noise.hpp"
#include "worker/unlearn/step_images.hpp"

namespace guda::worker {
namespace {

constexpr std::int64_t kMostNumbers = std::int64_t{1} << 25;  // of the gradient matrix: 128 MiB
constexpr std::int64_t kMostRows = 256;                       // of a forward pass

constexpr double kNothing = std::numeric_limits<double>::quiet_NaN();

/// float32 [rows]: what gradients are taken of.
torch::Tensor row_values(const std::string& loss, const torch::Tensor& predicted, const torch::Tensor& noise) {
  if (loss == "error") return (predicted - noise).square().mean(1);
  if (loss == "squared_output") return predicted.square().mean(1);
  if (loss == "mean_output") return predicted.mean(1);
  throw Error("features of gradients: '" + loss + "' is not one of error, squared_output, mean_output");
}

/// One noise per timestep, [timesteps, C, H, W].
torch::Tensor shared_noise(std::uint64_t seed, std::span<const std::uint32_t> timesteps, at::IntArrayRef image) {
  std::vector<std::int64_t> shape{static_cast<std::int64_t>(timesteps.size())};
  shape.insert(shape.end(), image.begin(), image.end());
  torch::Tensor noise = torch::empty(shape);
  const auto size = static_cast<std::size_t>(noise[0].numel());
  for (std::size_t i = 0; i < timesteps.size(); ++i)
    fill_normal(seed, 0, timesteps[i], 0, {noise.data_ptr<float>() + i * size, size});
  return noise;
}

/// Rows of what may be undefined.
torch::Tensor part_of(const torch::Tensor& all, std::int64_t first, std::int64_t count) {
  return all.defined() ? all.narrow(0, first, count) : all;
}

/// Every image under every given timestep, the timesteps of an image side by side.
StepImages all_rows(const jobs::NoiseSchedule& schedule, const torch::Tensor& images, const torch::Tensor& contexts,
                    std::span<const std::uint32_t> timesteps, const torch::Tensor& noise) {
  const auto count = static_cast<std::int64_t>(timesteps.size());
  StepImages rows;
  for (std::int64_t i = 0; i < images.size(0); ++i)
    rows.timesteps.insert(rows.timesteps.end(), timesteps.begin(), timesteps.end());
  rows.noise = noise.repeat({images.size(0), 1, 1, 1});
  rows.x_t = add_noise(images.repeat_interleave(count, 0), rows.noise, noise_levels(schedule, rows.timesteps));
  if (contexts.defined()) rows.context = contexts.repeat_interleave(count, 0);
  return rows;
}

}  // namespace

Features gradient_features(const Denoiser& model, const jobs::FeaturesSpec& spec, const Seen& seen,
                           torch::Device device, const std::function<void(const Progress&)>& progress) {
  const torch::Tensor& images = seen.x0;
  if (spec.timesteps == 0 || spec.timesteps > spec.diffusion.timesteps)
    throw Error("gradients.timesteps: must be from 1 to diffusion.timesteps");
  const jobs::NoiseSchedule schedule(spec.diffusion);
  const Prediction prediction = prediction_from(spec.diffusion.prediction);
  const Projection projection(spec.projection, spec.dimension, (SeedPath(spec.seed) / "projection").value());
  SampleGradients gradients(model.module());
  std::vector<std::uint32_t> timesteps;
  for (std::uint64_t s = 0; s < spec.timesteps; ++s)
    timesteps.push_back(static_cast<std::uint32_t>(s * spec.diffusion.timesteps / spec.timesteps));
  const torch::Tensor noise = shared_noise((SeedPath(spec.seed) / "noise").value(), timesteps, images[0].sizes());

  const auto steps = static_cast<std::int64_t>(timesteps.size());
  const std::int64_t at_once = std::min(steps, kMostRows);
  const std::int64_t batch =
      std::clamp(std::min(kMostNumbers / gradients.weights(), kMostRows / at_once), std::int64_t{1}, images.size(0));
  const std::uint64_t batches = static_cast<std::uint64_t>((images.size(0) + batch - 1) / batch);
  Features features{torch::empty({images.size(0), static_cast<std::int64_t>(spec.dimension)}),
                    torch::empty({images.size(0)}, torch::kFloat64)};
  for (std::uint64_t b = 0; b < batches; ++b) {
    const auto first = static_cast<std::int64_t>(b) * batch, count = std::min(batch, images.size(0) - first);
    const torch::Tensor block = images.narrow(0, first, count), contexts = part_of(seen.contexts, first, count);
    torch::Tensor sum, errors = torch::zeros({count, steps}, torch::kFloat64);
    for (std::int64_t t = 0; t < steps; t += at_once) {
      const std::int64_t rows = std::min(at_once, steps - t);
      const StepImages step =
          all_rows(schedule, block, contexts, std::span(timesteps).subspan(t, rows), noise.narrow(0, t, rows));
      const torch::Tensor target = step.noise.flatten(1).to(device);
      torch::Tensor predicted;
      const auto values = [&] {
        predicted = predict_noise(model, prediction, schedule, step, device);
        return row_values(spec.loss, predicted, target);
      };
      torch::Tensor weights = torch::full({count * rows}, 1.0 / static_cast<double>(steps), device);
      if (spec.normalised) {
        const torch::Tensor length = gradients.squared_lengths(count * rows, values).sqrt();
        weights = weights / (length + 1e-8).to(device, torch::kFloat32);
        if (progress) progress({b, batches, kNothing});
      }
      const torch::Tensor part = gradients.matrix(count, rows, [&] { return values() * weights; });
      sum = sum.defined() ? sum.add_(part) : part;
      errors.narrow(1, t, rows)
          .copy_((predicted.detach() - target)
                     .square()
                     .mean(1)
                     .sqrt()
                     .to(torch::kCPU, torch::kFloat64)
                     .view({count, rows}));
      if (progress) progress({b, batches, kNothing});
    }
    features.rows.narrow(0, first, count).copy_(projection.apply(sum));
    features.residuals.narrow(0, first, count)
        .copy_((errors / errors.square().sum(1, true).sqrt().clamp_min(1e-30)).mean(1));
    if (progress) progress({b + 1, batches, kNothing});
  }
  return features;
}

Features fisher_diagonal(const Denoiser& model, const jobs::FeaturesSpec& spec, const Seen& seen, torch::Device device,
                         const std::function<void(const Progress&)>& progress) {
  const torch::Tensor& images = seen.x0;
  const jobs::NoiseSchedule schedule(spec.diffusion);
  const Prediction prediction = prediction_from(spec.diffusion.prediction);
  const SeedPath seed(spec.seed);
  const std::uint64_t timestep_seed = (seed / "timestep").value(), noise_seed = (seed / "noise").value(),
                      flip_seed = (seed / "flip").value();
  SampleGradients gradients(model.module());
  const std::int64_t batch = std::clamp(kMostNumbers / gradients.weights(), std::int64_t{1}, kMostRows / 2);
  const auto size = static_cast<std::size_t>(images[0].numel());
  const std::uint64_t batches = spec.timesteps * static_cast<std::uint64_t>((images.size(0) + batch - 1) / batch);
  torch::Tensor sum = torch::zeros({gradients.weights()}, torch::TensorOptions(device).dtype(torch::kFloat64));
  std::uint64_t done = 0;
  for (std::uint32_t pass = 0; pass < spec.timesteps; ++pass) {
    for (std::int64_t first = 0; first < images.size(0); first += batch) {
      const std::int64_t count = std::min(batch, images.size(0) - first);
      torch::Tensor block = images.narrow(0, first, count).clone();
      StepImages rows;
      rows.noise = torch::empty_like(block);
      for (std::int64_t i = 0; i < count; ++i) {
        const std::uint64_t item = spec.first + static_cast<std::uint64_t>(first + i);
        const std::uint64_t place = item * spec.timesteps + pass;
        rows.timesteps.push_back(
            static_cast<std::uint32_t>(random_uniform(timestep_seed, place) * schedule.timesteps()));
        fill_normal(noise_seed, item, 0, pass,
                    {rows.noise.data_ptr<float>() + static_cast<std::size_t>(i) * size, size});
        if (spec.flip && random_bits(flip_seed, place) >> 63 != 0)
          block[i].copy_(seen.mirrored.defined() ? seen.mirrored[first + i] : block[i].flip({-1}));
      }
      rows.context = part_of(seen.contexts, first, count);
      rows.x_t = add_noise(block, rows.noise, noise_levels(schedule, rows.timesteps));
      const torch::Tensor target = rows.noise.flatten(1).to(device);
      sum += gradients
                 .matrix(count, 1,
                         [&] {
                           return row_values("error", predict_noise(model, prediction, schedule, rows, device), target);
                         })
                 .square()
                 .sum(0, false, torch::kFloat64);
      if (progress) progress({++done, batches, kNothing});
    }
  }
  const double draws = static_cast<double>(images.size(0)) * spec.timesteps;
  return {(sum / draws).to(torch::kCPU, torch::kFloat32).unsqueeze(0), {}};
}

}  // namespace guda::worker
