#include "worker/training/trainer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "common/error.hpp"
#include "jobs/noise_schedule.hpp"
#include "worker/diffusion/prediction.hpp"
#include "worker/models/seeded_build.hpp"
#include "worker/training/batch_share.hpp"
#include "worker/training/class_labels.hpp"
#include "worker/training/gang_step.hpp"
#include "worker/training/images.hpp"
#include "worker/training/loss_guard.hpp"
#include "worker/training/optimizer.hpp"
#include "worker/training/streams.hpp"

namespace guda::worker {
namespace {

void check_config(const jobs::TrainingConfig& config) {
  if (config.steps == 0 || config.batch == 0) throw Error("training: steps and batch must be at least 1");
}

/// From x_t and timesteps of the rows of a step to the model's output. `items` are those of the whole batch.
using Predict =
    std::function<torch::Tensor(const torch::Tensor& x_t, const torch::Tensor& timesteps,
                                std::span<const std::uint32_t> items, const BatchShare& rows, std::uint64_t step)>;

struct Losses {
  double first = 0, last = 0;
};

/// The loop of every kind of model; `model` is on the device and ends in eval mode, with EMA weights where they are
/// kept.
Losses fit(torch::nn::Module& model, const Predict& predict, const jobs::TrainSpec& spec, const jobs::Dataset& dataset,
           std::span<const std::uint32_t> removed, torch::Device device,
           const std::function<void(const Progress&)>& progress, JobCheckpoints* checkpoints, Gang* gang) {
  const jobs::TrainingConfig& config = spec.training;
  check_config(config);
  const SeedPath seed = SeedPath(spec.seed) / "train";
  const jobs::NoiseSchedule schedule(spec.diffusion);
  const Prediction prediction = prediction_from(spec.diffusion.prediction);

  // Dropout masks come from the generator: the only stream that is not a function of the step (but for gangs).
  seed_generators((seed / "dropout").value());
  model.train();
  ItemStream stream(seed / "items", dataset.train, removed);
  AdamW optimizer(model.parameters(), config.optimizer, config.clip);
  std::optional<Ema> ema;
  if (config.ema_max_decay > 0) ema.emplace(model.parameters(), config.ema_max_decay);

  const torch::Tensor losses = torch::zeros({2}, torch::kFloat64);  // first and last: a tensor, to be part of the state
  double* const sums = losses.data_ptr<double>();
  const std::uint32_t tenth = std::max(1U, config.steps / 10);
  NamedTensors state{{"losses", losses}};
  append_state(model, state);
  optimizer.append_state(state);
  if (ema) ema->append_state(state);
  std::uint64_t first_step = 0;
  if (checkpoints) first_step = checkpoints->resume(state, config.steps, device);
  // While a member waits for the others its job may be taken back.
  const auto together = [&](std::uint64_t done, const auto& what) {
    try {
      what();
    } catch (const Cancelled&) {
      if (checkpoints) checkpoints->hand_back(done);
      throw;
    }
  };
  if (gang) together(first_step, [&] { first_step = take_state_of_root(*gang, state, first_step); });
  optimizer.resume_at(first_step);
  if (ema) ema->resume_at(first_step);
  const BatchShare rows = gang ? share_of(config.batch, gang->rank(), gang->size()) : BatchShare{0, config.batch};
  const std::vector<BatchShare> parts = parts_of(rows, spec.micro_batch);
  const bool whole = !gang && parts.size() == 1;
  std::optional<GradientSum> sum;
  if (gang) sum.emplace(*gang, model.parameters());
  for (std::uint64_t step = first_step; step < config.steps; ++step) {
    // Masks of a member are its own; as a function of the step they need no state in checkpoints, which are the root's.
    if (gang) seed_generators((seed / "dropout" / std::to_string(gang->rank()) / std::to_string(step)).value());
    const auto items = stream.batch(step, config.batch);
    const auto flips = config.horizontal_flip ? draw_flips(seed / "flip", step, config.batch) : std::vector<bool>{};
    const torch::Tensor x0 = gather_images(dataset, items, flips);
    const auto t =
        draw_timesteps(seed / "timestep", step, config.batch, schedule.timesteps(), config.stratified_timesteps);
    const torch::Tensor noise = draw_noise(seed / "noise", step, x0.sizes());
    const NoiseLevels levels = noise_levels(schedule, t);
    const torch::Tensor target = training_target(prediction, x0, noise, levels), x_t = add_noise(x0, noise, levels);

    double value = 0;
    for (const BatchShare& part : parts) {
      const torch::Tensor output =
          predict(part.of(x_t).to(device), part.of(to_tensor(t)).to(device), items, part, step);
      const torch::Tensor per_row = (output - part.of(target).to(device)).square().mean({1, 2, 3});
      const torch::Tensor loss = whole ? per_row.mean() : per_row.sum() / static_cast<double>(config.batch);
      value += check_loss(loss, per_row, part.of(std::span(t)), part.of(std::span(items)), step, "training");
      loss.backward();
    }
    if (sum) together(step, [&] { value = sum->add_up(value); });
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
              torch::Device device, const std::function<void(const Progress&)>& progress, JobCheckpoints* checkpoints,
              Gang* gang) {
  UNet2D model = make_unet2d(spec.model, (SeedPath(spec.seed) / "train" / "init").value());
  model->to(device);
  const Predict predict = [&](const torch::Tensor& x_t, const torch::Tensor& t, std::span<const std::uint32_t>,
                              const BatchShare&, std::uint64_t) { return model->forward(x_t, t); };
  const Losses losses = fit(*model, predict, spec, dataset, removed, device, progress, checkpoints, gang);
  return {model, losses.first, losses.last};
}

TrainedGuide train_guide(const jobs::TrainSpec& spec, const jobs::Dataset& dataset, torch::Device device,
                         const std::function<void(const Progress&)>& progress, JobCheckpoints* checkpoints,
                         Gang* gang) {
  const SeedPath seed = SeedPath(spec.seed) / "train";
  UNet2DCondition model = make_unet2d_condition(spec.model, (seed / "init").value());
  model->to(device);
  const Predict predict = [&](const torch::Tensor& x_t, const torch::Tensor& t, std::span<const std::uint32_t> items,
                              const BatchShare& rows, std::uint64_t step) {
    const torch::Tensor labels = dropped_class_rows(dataset, items, seed / "label", step, spec.label_dropout);
    return model->forward(x_t, t, torch::Tensor(), rows.of(labels).to(device));
  };
  const Losses losses = fit(*model, predict, spec, dataset, {}, device, progress, checkpoints, gang);
  return {model, losses.first, losses.last};
}

}  // namespace guda::worker
