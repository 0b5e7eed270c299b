#include "worker/diffusion/sampling.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "common/error.hpp"
#include "jobs/noise_schedule.hpp"
#include "jobs/query_image.hpp"
#include "worker/diffusion/chain.hpp"
#include "worker/diffusion/gpu_scoring.hpp"
#include "worker/diffusion/noise.hpp"
#include "worker/diffusion/prediction.hpp"
#include "worker/training/images.hpp"

namespace guda::worker {
namespace {

/// Initial noise has draw 0, the noise of a step draw 1; at timestep T the schedule has none of its own.
constexpr std::uint32_t kInitialDraw = 0, kStepDraw = 1;

/// Rounds [-1, 1] to `levels` equally spaced values, both ends among them; 0 = only clamps.
torch::Tensor to_levels(const torch::Tensor& x, std::uint32_t levels) {
  const torch::Tensor clamped = x.clamp(-1, 1);
  if (levels == 0) return clamped;
  const double half = (levels - 1) / 2.0;
  return ((clamped + 1) * half).round() / half - 1;
}

/// Fills row i of `noise` for query first + i; padding rows keep what they hold.
void fill_rows(torch::Tensor& noise, std::span<const std::uint64_t> ids, std::uint64_t seed, std::uint32_t timestep,
               std::uint32_t draw) {
  if (noise.is_cuda()) return gpu_fill_rows(noise, ids, seed, timestep, draw);
  const auto size = static_cast<std::size_t>(noise[0].numel());
  for (std::size_t i = 0; i < ids.size(); ++i)
    fill_normal(seed, ids[i], timestep, draw, {noise.data_ptr<float>() + i * size, size});
}

/// Of `count` queries from number `first` on, filled up to `batch` rows with the last one; undefined without prompts.
torch::Tensor contexts_of(const Prompted& prompted, std::size_t first, std::size_t count, std::uint32_t batch,
                          torch::Device device) {
  if (!prompted.contexts.defined()) return {};
  torch::Tensor rows = torch::arange(static_cast<std::int64_t>(batch));
  rows = (rows + static_cast<std::int64_t>(first)).clamp_max(static_cast<std::int64_t>(first + count) - 1);
  return prompted.contexts.index_select(0, rows).to(device);
}

QuerySet read_images(const jobs::SampleSpec& spec, const jobs::Dataset& dataset) {
  QuerySet set;
  std::vector<torch::Tensor> images;
  for (const std::filesystem::path& file : spec.set.images) {
    const std::vector<float> values = jobs::read_query_image(file, dataset);
    images.push_back(torch::tensor(values).view({dataset.shape[0], dataset.shape[1], dataset.shape[2]}));
  }
  // The model has seen nothing between the data set's levels.
  set.images = to_levels(torch::stack(images), dataset.levels);
  set.items.resize(images.size());
  set.classes.resize(images.size());
  return set;
}

/// Consecutive items of the held-out or of the training split.
QuerySet take_items(const jobs::SampleSpec& spec, const jobs::Dataset& dataset, std::span<const std::uint32_t> split) {
  if (spec.names.size() + spec.set.first > split.size()) {
    throw Error(
        fmt::format("query set {}: {} {} queries from number {} on were asked for, the data set has {} such images; "
                    "lower count or first, or change dataset.train",
                    spec.set.name, spec.names.size(), spec.set.kind, spec.set.first, split.size()));
  }
  QuerySet set;
  const auto items = split.subspan(spec.set.first, spec.names.size());
  set.images = gather_images(dataset, items);
  for (const std::uint32_t item : items) {
    set.items.emplace_back(item);
    set.classes.emplace_back(dataset.class_names.at(dataset.labels.at(item)));
  }
  return set;
}

}  // namespace

torch::Tensor sample_images(const Denoiser& model, const jobs::SampleSpec& spec, const jobs::Dataset& dataset,
                            torch::Device device, const std::function<void(const Progress&)>& progress,
                            const TextToImage& text_to_image, JobCheckpoints* checkpoints) {
  const jobs::SamplerConfig& sampler = spec.set.sampler;
  if (sampler.batch == 0) throw Error("sampler.batch: must be at least 1");
  if (sampler.grey_levels == 1) throw Error("sampler.grey_levels: must be 0 (off) or at least 2");
  const c10::InferenceMode inference;
  const jobs::NoiseSchedule schedule(spec.diffusion);
  const Chain chain(sampler, schedule, prediction_from(spec.diffusion.prediction));
  const std::uint64_t seed = (SeedPath(spec.seed) / "sample").value();
  std::vector<std::uint64_t> ids;
  for (const std::string& name : spec.names) ids.push_back(query_id(name));

  AutoencoderKL autoencoder = text_to_image.autoencoder;
  auto [channels, height, width] = dataset.shape;
  if (!autoencoder.is_empty()) {
    channels = autoencoder->config().latent_channels;
    height /= autoencoder->config().reduction();
    width /= autoencoder->config().reduction();
  }
  const std::vector<std::int64_t> shape{sampler.batch, channels, height, width};
  const std::uint64_t steps = chain.timesteps().size(), batches = (ids.size() + sampler.batch - 1) / sampler.batch;
  torch::Tensor samples = torch::zeros({static_cast<std::int64_t>(ids.size()), channels, height, width});
  torch::Tensor x = torch::zeros(shape, device), noise = torch::zeros(shape, device),
                remembered = torch::zeros(shape, device);  // what the chain keeps from one step to the next
  const std::uint64_t drawn = batches * steps, all = drawn + (autoencoder.is_empty() ? 0 : batches);
  const auto nothing = std::numeric_limits<double>::quiet_NaN();
  std::uint64_t done = 0;
  if (checkpoints != nullptr)
    done = checkpoints->resume({{"samples", samples}, {"x", x}, {"remembered", remembered}}, all, device);
  for (std::uint64_t b = done / steps; b < batches; ++b) {
    const std::size_t first = b * sampler.batch;
    const std::span<const std::uint64_t> rows(ids.data() + first,
                                              std::min<std::size_t>(sampler.batch, ids.size() - first));
    const auto place = static_cast<std::int64_t>(first), count = static_cast<std::int64_t>(rows.size());
    const torch::Tensor contexts = contexts_of(text_to_image.prompted, first, rows.size(), sampler.batch, device);
    torch::Tensor memory;
    if (done % steps > 0) {
      memory = remembered;
    } else {
      x.zero_();
      fill_rows(x, rows, seed, schedule.timesteps(), kInitialDraw);
    }
    noise.zero_();
    for (std::size_t i = done % steps; i < steps; ++i) {
      const std::uint32_t t = chain.timesteps()[i];
      const torch::Tensor at = torch::full({sampler.batch}, static_cast<std::int64_t>(t),
                                           torch::TensorOptions().dtype(torch::kInt64).device(device));
      const torch::Tensor output = guided_output(model, x, at, text_to_image.prompted, contexts).to(torch::kFloat32);
      if (chain.noise_std(t) > 0) fill_rows(noise, rows, seed, t, kStepDraw);
      x.copy_(chain.step(output, i, x, noise, memory));
      if (memory.defined()) memory = remembered.copy_(memory);
      if (i + 1 == steps) samples.narrow(0, place, count).copy_(x.narrow(0, 0, count));
      const Progress now{++done, all, nothing};
      checkpoints != nullptr ? checkpoints->finished_step(now, progress) : progress(now);
    }
  }
  torch::Tensor images = samples;
  if (!autoencoder.is_empty()) {
    std::vector<torch::Tensor> decoded;
    for (std::uint64_t b = 0; b < batches; ++b) {
      const auto first = static_cast<std::int64_t>(b * sampler.batch),
                 count = std::min<std::int64_t>(sampler.batch, samples.size(0) - first);
      x.zero_().narrow(0, 0, count).copy_(samples.narrow(0, first, count));
      const torch::Tensor pictures = autoencoder->decode(x / autoencoder->config().scaling_factor);
      decoded.push_back(pictures.narrow(0, 0, count).to(torch::kCPU).contiguous());
      try {
        progress({drawn + b + 1, all, nothing});
      } catch (const Cancelled&) {  // pictures are no state: they are decoded again
        if (checkpoints != nullptr) checkpoints->hand_back(drawn);
        throw;
      }
    }
    images = torch::cat(decoded);
  }
  if (!images.isfinite().all().item<bool>()) throw DivergenceError("the model draws NaN or Inf; its training diverged");
  return to_levels(images, sampler.grey_levels).clone();
}

QuerySet make_query_set(const Denoiser& model, const jobs::SampleSpec& spec, const jobs::Dataset& dataset,
                        torch::Device device, const std::function<void(const Progress&)>& progress,
                        const TextToImage& text_to_image, JobCheckpoints* checkpoints) {
  if (spec.names.empty()) throw Error("query set " + spec.set.name + ": is empty");
  QuerySet set;
  if (spec.set.kind == "generated") {
    if (model.is_empty()) throw Bug("a generated query set was given no model");
    set.images = sample_images(model, spec, dataset, device, progress, text_to_image, checkpoints);
    set.items.resize(spec.names.size());
    set.classes.resize(spec.names.size());
  } else if (spec.set.kind == "held_out") {
    set = take_items(spec, dataset, dataset.held_out);
  } else if (spec.set.kind == "training") {
    set = take_items(spec, dataset, dataset.train);
  } else if (spec.set.kind == "images") {
    if (spec.set.images.size() != spec.names.size()) {
      throw Bug(fmt::format("query set {}: {} images have {} names", spec.set.name, spec.set.images.size(),
                            spec.names.size()));
    }
    set = read_images(spec, dataset);
  } else {
    throw Error("query set " + spec.set.name + ": kind '" + spec.set.kind +
                "' is not known; known: generated, held_out, training, images");
  }
  set.names = spec.names;
  set.prompts = spec.prompts;
  return set;
}

}  // namespace guda::worker
