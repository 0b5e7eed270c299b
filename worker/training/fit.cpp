#include "worker/training/fit.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include "common/error.hpp"
#include "worker/device/replay.hpp"
#include "worker/models/recompute.hpp"
#include "worker/models/seeded_build.hpp"
#include "worker/training/gang_step.hpp"
#include "worker/training/loss_guard.hpp"
#include "worker/training/optimizer.hpp"

namespace guda::worker {

namespace {

/// Forward and backward pass of the parts of a batch; leaves their gradients in the parameters.
class GradientPass {
 public:
  GradientPass(std::vector<torch::Tensor> parameters, const RowLosses& losses, const FitOptions& options,
               std::vector<BatchShare> parts, bool whole)
      : parameters_(std::move(parameters)),
        losses_(losses),
        options_(options),
        parts_(std::move(parts)),
        whole_(whole),
        replay_(options.device, options.graphs && whole && !options.recompute) {}

  /// Queues the work; the loss is waited for by value().
  void run(const TrainingBatch& batch) {
    results_.clear();
    const RecomputeScope recompute(options_.recompute);
    if (options_.device.is_cuda() && whole_) return run_in_place(batch);
    for (const BatchShare& part : parts_) {
      std::vector<torch::Tensor> inputs;
      for (const torch::Tensor& all : batch.inputs)
        inputs.push_back(all.defined() ? part.of(all).to(options_.device) : all);
      const torch::Tensor per_row = losses_(inputs);
      const torch::Tensor loss = whole_ ? per_row.mean() : per_row.sum() / static_cast<double>(options_.config.batch);
      results_.push_back({loss.detach(), per_row.detach()});
      loss.backward();
    }
  }

  /// Sum of the parts' losses. Throws DivergenceError when one is not finite.
  [[nodiscard]] double value(const TrainingBatch& batch, std::uint64_t step) const {
    double sum = 0;
    for (std::size_t i = 0; i < parts_.size(); ++i) {
      sum += check_loss(results_[i].loss, results_[i].per_row, parts_[i].of(std::span(batch.timesteps)),
                        parts_[i].of(std::span(batch.items)), step, "training");
    }
    return sum;
  }

  /// Whether gradients lie where they lay in the last step, for the next replay.
  [[nodiscard]] bool keeps_gradients() const { return replay_.is_captured(); }

 private:
  struct Result {
    torch::Tensor loss, per_row;
  };

  /// Inputs and results stay where they are between steps, so that the work can be replayed.
  void run_in_place(const TrainingBatch& batch) {
    if (inputs_.empty()) {
      for (const torch::Tensor& all : batch.inputs)
        inputs_.push_back(all.defined() ? all.to(options_.device).clone() : all);
    } else {
      for (std::size_t i = 0; i < inputs_.size(); ++i) {
        if (inputs_[i].defined()) inputs_[i].copy_(batch.inputs[i], /*non_blocking=*/true);
      }
    }
    replay_.run([&] {
      for (torch::Tensor& p : parameters_) p.mutable_grad().reset();
      const torch::Tensor per_row = losses_(inputs_), loss = per_row.mean();
      latest_ = {loss.detach(), per_row.detach()};
      loss.backward();
    });
    results_.push_back(latest_);
  }

  std::vector<torch::Tensor> parameters_;
  const RowLosses& losses_;
  const FitOptions& options_;
  std::vector<BatchShare> parts_;
  bool whole_;
  std::vector<torch::Tensor> inputs_;
  Result latest_;
  std::vector<Result> results_;
  Replay replay_;
};

}  // namespace

Losses fit(torch::nn::Module& model, TrainedParameters& trained, const DrawBatch& draw, const RowLosses& row_losses,
           const FitOptions& options, const std::function<void(const Progress&)>& progress) {
  const jobs::TrainingConfig& config = options.config;
  if (config.steps == 0 || config.batch == 0) throw Error("training: steps and batch must be at least 1");
  JobCheckpoints* const checkpoints = options.checkpoints;
  Gang* const gang = options.gang;

  // Dropout masks come from the generator: the only stream that is not a function of the step (but for gangs).
  seed_generators((options.seed / "dropout").value());
  model.train();
  AdamW optimizer(trained.tensors(), config.optimizer, config.clip, trained.halves());
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
  trained.refresh();
  optimizer.resume_at(first_step);
  if (ema) ema->resume_at(first_step);
  const BatchShare rows = gang ? share_of(config.batch, gang->rank(), gang->size()) : BatchShare{0, config.batch};
  const std::vector<BatchShare> parts = parts_of(rows, options.micro_batch);
  GradientPass pass(trained.computed(), row_losses, options, parts, !gang && parts.size() == 1);
  std::optional<GradientSum> sum;
  if (gang) sum.emplace(*gang, trained.computed());
  std::optional<TrainingBatch> next;
  for (std::uint64_t step = first_step; step < config.steps; ++step) {
    // Masks of a member are its own; as a function of the step they need no state in checkpoints, which are the root's.
    if (gang) {
      seed_generators((options.seed / "dropout" / std::to_string(gang->rank()) / std::to_string(step)).value());
    }
    const TrainingBatch batch = next ? *std::exchange(next, std::nullopt) : draw(step);
    pass.run(batch);
    if (options.device.is_cuda() && step + 1 < config.steps) next = draw(step + 1);  // while the device works
    double value = pass.value(batch, step);
    if (sum) together(step, [&] { value = sum->add_up(value); });
    optimizer.step(learning_rate(config.optimizer.lr, step, std::max(config.horizon, config.steps), config.warmup_steps,
                                 config.decay),
                   ema ? &*ema : nullptr, pass.keeps_gradients());

    if (step < tenth) sums[0] += value / tenth;
    if (step >= config.steps - tenth) sums[1] += value / tenth;
    const Progress done{step + 1, config.steps, value};
    checkpoints ? checkpoints->finished_step(done, progress) : progress(done);
  }
  for (torch::Tensor parameter : trained.computed()) parameter.mutable_grad().reset();
  if (ema) ema->copy_to_parameters();
  model.eval();
  return {sums[0], sums[1]};
}

}  // namespace guda::worker
