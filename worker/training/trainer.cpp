#include "worker/training/trainer.hpp"

#include <memory>
#include <utility>

#include "common/error.hpp"
#include "jobs/guide_model.hpp"
#include "jobs/noise_schedule.hpp"
#include "worker/device/device.hpp"
#include "worker/diffusion/prediction.hpp"
#include "worker/training/class_labels.hpp"
#include "worker/training/fit.hpp"
#include "worker/training/streams.hpp"

namespace guda::worker {
namespace {

/// What the model is told about every row of a batch.
Condition condition_of(const jobs::TrainSpec& spec, const Examples& examples, std::span<const std::uint32_t> items,
                       const SeedPath& seed, std::uint64_t step) {
  if (jobs::is_guide_model(spec.model))
    return {{}, dropped_class_rows(examples.dataset(), items, seed / "label", step, spec.label_dropout)};
  return {examples.context(items, seed, step, spec.caption_dropout), {}};
}

}  // namespace

Trained train(const jobs::TrainSpec& spec, const Examples& examples, std::span<const std::uint32_t> removed,
              torch::Device device, const std::function<void(const Progress&)>& progress, JobCheckpoints* checkpoints,
              Gang* gang, Denoiser start, ComputeMode mode) {
  const jobs::TrainingConfig& config = spec.training;
  const SeedPath seed = SeedPath(spec.seed) / "train";
  const Denoiser model = start.is_empty() ? make_denoiser(spec.model, (seed / "init").value()) : std::move(start);
  move_to(model.module(), device);
  const jobs::NoiseSchedule schedule(spec.diffusion);
  const Prediction prediction = prediction_from(spec.diffusion.prediction);
  ItemStream stream(seed / "items", examples.dataset().train, removed);

  const DrawBatch draw = [&](std::uint64_t step) {
    TrainingBatch batch;
    batch.items = stream.batch(step, config.batch);
    const auto flips = config.horizontal_flip ? draw_flips(seed / "flip", step, config.batch) : std::vector<bool>{};
    const torch::Tensor x0 = examples.clean(batch.items, flips, seed, step);
    batch.timesteps =
        draw_timesteps(seed / "timestep", step, config.batch, schedule.timesteps(), config.stratified_timesteps);
    const torch::Tensor noise = draw_noise(seed / "noise", step, x0.sizes(), x0.device());
    const NoiseLevels levels = noise_levels(schedule, batch.timesteps, x0.device());
    const Condition told = condition_of(spec, examples, batch.items, seed, step);
    batch.inputs = {add_noise(x0, noise, levels), to_tensor(batch.timesteps),
                    training_target(prediction, x0, noise, levels), told.context, told.classes};
    return batch;
  };
  const RowLosses row_losses = [&](std::span<const torch::Tensor> inputs) {
    const torch::Tensor output = model(inputs[0], inputs[1], {inputs[3], inputs[4]});
    return (output - inputs[2]).square().mean({1, 2, 3});
  };
  TrainedParameters trained(model.module(), config.parameters, seed, mode.bfloat16);
  const Losses losses =
      fit(model.module(), trained, draw, row_losses,
          {config, spec.micro_batch, seed, device, /*graphs=*/true, checkpoints, gang, mode.recompute}, progress);
  return {model, losses.first, losses.last, trained.merge()};
}

}  // namespace guda::worker
