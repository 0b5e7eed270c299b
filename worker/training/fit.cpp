#include "worker/training/fit.hpp"

#include <algorithm>
#include <optional>

#include "common/error.hpp"
#include "worker/models/recompute.hpp"
#include "worker/models/seeded_build.hpp"
#include "worker/training/gang_step.hpp"
#include "worker/training/loss_guard.hpp"
#include "worker/training/optimizer.hpp"

namespace guda::worker {

Losses fit(torch::nn::Module& model, const TrainedParameters& trained, const DrawBatch& draw, const FitOptions& options,
           const std::function<void(const Progress&)>& progress) {
  const jobs::TrainingConfig& config = options.config;
  if (config.steps == 0 || config.batch == 0) throw Error("training: steps and batch must be at least 1");
  JobCheckpoints* const checkpoints = options.checkpoints;
  Gang* const gang = options.gang;

  // Dropout masks come from the generator: the only stream that is not a function of the step (but for gangs).
  seed_generators((options.seed / "dropout").value());
  model.train();
  AdamW optimizer(trained.tensors(), config.optimizer, config.clip);
  std::optional<Ema> ema;
  if (config.ema_max_decay > 0) ema.emplace(trained.tensors(), config.ema_max_decay);

  const torch::Tensor losses = torch::zeros({2}, torch::kFloat64);  // first and last: a tensor, to be part of the state
  double* const sums = losses.data_ptr<double>();
  const std::uint32_t tenth = std::max(1U, config.steps / 10);
  NamedTensors state{{"losses", losses}};
  trained.append_state(state);
  optimizer.append_state(state);
  if (ema) ema->append_state(state);
  std::uint64_t first_step = 0;
  if (checkpoints) first_step = checkpoints->resume(state, config.steps, options.device);
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
  const std::vector<BatchShare> parts = parts_of(rows, options.micro_batch);
  const bool whole = !gang && parts.size() == 1;
  std::optional<GradientSum> sum;
  if (gang) sum.emplace(*gang, trained.tensors());
  for (std::uint64_t step = first_step; step < config.steps; ++step) {
    // Masks of a member are its own; as a function of the step they need no state in checkpoints, which are the root's.
    if (gang) {
      seed_generators((options.seed / "dropout" / std::to_string(gang->rank()) / std::to_string(step)).value());
    }
    const TrainingBatch batch = draw(step);
    double value = 0;
    const RecomputeScope recompute(options.recompute);
    for (const BatchShare& part : parts) {
      const torch::Tensor per_row = batch.losses(part);
      const torch::Tensor loss = whole ? per_row.mean() : per_row.sum() / static_cast<double>(config.batch);
      value += check_loss(loss, per_row, part.of(std::span(batch.timesteps)), part.of(std::span(batch.items)), step,
                          "training");
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

}  // namespace guda::worker
