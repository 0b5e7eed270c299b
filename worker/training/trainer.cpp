#include "worker/training/trainer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "common/error.hpp"
#include "jobs/noise_schedule.hpp"
#include "worker/diffusion/prediction.hpp"
#include "worker/training/class_labels.hpp"
#include "worker/training/images.hpp"
#include "worker/training/loss_guard.hpp"
#include "worker/training/optimizer.hpp"
#include "worker/training/streams.hpp"

namespace guda::worker {
namespace {

void check_config(const jobs::TrainingConfig& config) {
  if (config.steps == 0 || config.batch == 0) throw Error("training: steps and batch must be at least 1");
}

/// From x_t, timesteps, the step's items and its number to the model's output.
using Predict = std::function<torch::Tensor(const torch::Tensor& x_t, const torch::Tensor& timesteps,
                                            std::span<const std::uint32_t> items, std::uint64_t step)>;

struct Losses {
  double first = 0, last = 0;
};

/// The loop of every kind of model; `model` is on the device and ends in eval mode, with EMA weights where they are
/// kept.
Losses fit(torch::nn::Module& model, const Predict& predict, const jobs::TrainSpec& spec, const jobs::Dataset& dataset,
           std::span<const std::uint32_t> removed, torch::Device device,
           const std::function<void(const Progress&)>& progress, JobCheckpoints* checkpoints) {
  const jobs::TrainingConfig& config = spec.training;
  check_config(config);
  const SeedPath seed = SeedPath(spec.seed) / "train";
  const jobs::NoiseSchedule schedule(spec.diffusion);
  const Prediction prediction = prediction_from(spec.diffusion.prediction);

  // Dropout masks come from the generator: the only stream that is not a function of the step.
  torch::manual_seed((seed / "dropout").value());
  model.train();
  ItemStream stream(seed / "items", dataset.train, removed);
  AdamW optimizer(model.parameters(), config.optimizer, config.clip);
  std::optional<Ema> ema;
  if (config.ema_max_decay > 0) ema.emplace(model.parameters(), config.ema_max_decay);

  const torch::Tensor losses = torch::zeros({2}, torch::kFloat64);  // first and last: a tensor, to be part of the state
  double* const sums = losses.data_ptr<double>();
  const std::uint32_t tenth = std::max(1U, config.steps / 10);
  std::uint64_t first_step = 0;
  if (checkpoints) {
    NamedTensors state{{"losses", losses}};
    append_state(model, state);
    optimizer.append_state(state);
    if (ema) ema->append_state(state);
    first_step = checkpoints->resume(std::move(state), config.steps, device);
    optimizer.resume_at(first_step);
    if (ema) ema->resume_at(first_step);
  }
  for (std::uint64_t step = first_step; step < config.steps; ++step) {
    const auto items = stream.batch(step, config.batch);
    const auto flips = config.horizontal_flip ? draw_flips(seed / "flip", step, config.batch) : std::vector<bool>{};
    const torch::Tensor x0 = gather_images(dataset, items, flips);
    const auto t =
        draw_timesteps(seed / "timestep", step, config.batch, schedule.timesteps(), config.stratified_timesteps);
    const torch::Tensor noise = draw_noise(seed / "noise", step, x0.sizes());
    const NoiseLevels levels = noise_levels(schedule, t);
    const torch::Tensor target = training_target(prediction, x0, noise, levels).to(device);

    const torch::Tensor output = predict(add_noise(x0, noise, levels).to(device), to_tensor(t).to(device), items, step);
    const torch::Tensor per_row = (output - target).square().mean({1, 2, 3});
    const torch::Tensor loss = per_row.mean();
    const double value = check_loss(loss, per_row, t, items, step, "training");
    loss.backward();
    optimizer.step(learning_rate(config.optimizer.lr, step, std::max(config.horizon, config.steps), config.warmup_steps,
                                 config.decay));
    if (ema) ema->step();

    if (step < tenth) sums[0] += value / tenth;
    if (step >= config.steps - tenth) sums[1] += value / tenth;
    const Progress done{step + 1, config.steps, value};
    checkpoints ? checkpoints->finished_step(done, progress) : progress(done);
  }
  if (ema) ema->copy_to_parameters();
  model.eval();
  return {sums[0], sums[1]};
}

}  // namespace

Trained train(const jobs::TrainSpec& spec, const jobs::Dataset& dataset, std::span<const std::uint32_t> removed,
              torch::Device device, const std::function<void(const Progress&)>& progress, JobCheckpoints* checkpoints) {
  UNet2D model = make_unet2d(spec.model, (SeedPath(spec.seed) / "train" / "init").value());
  model->to(device);
  const Predict predict = [&](const torch::Tensor& x_t, const torch::Tensor& t, std::span<const std::uint32_t>,
                              std::uint64_t) { return model->forward(x_t, t); };
  const Losses losses = fit(*model, predict, spec, dataset, removed, device, progress, checkpoints);
  return {model, losses.first, losses.last};
}

TrainedGuide train_guide(const jobs::TrainSpec& spec, const jobs::Dataset& dataset, torch::Device device,
                         const std::function<void(const Progress&)>& progress, JobCheckpoints* checkpoints) {
  const SeedPath seed = SeedPath(spec.seed) / "train";
  UNet2DCondition model = make_unet2d_condition(spec.model, (seed / "init").value());
  model->to(device);
  const Predict predict = [&](const torch::Tensor& x_t, const torch::Tensor& t, std::span<const std::uint32_t> items,
                              std::uint64_t step) {
    const torch::Tensor labels = dropped_class_rows(dataset, items, seed / "label", step, spec.label_dropout);
    return model->forward(x_t, t, torch::Tensor(), labels.to(device));
  };
  const Losses losses = fit(*model, predict, spec, dataset, {}, device, progress, checkpoints);
  return {model, losses.first, losses.last};
}

}  // namespace guda::worker
