#include "worker/unlearn/fisher.hpp"

#include <algorithm>
#include <cstdint>
#include <string>

#include "common/error.hpp"
#include "worker/training/loss_guard.hpp"
#include "worker/unlearn/step_images.hpp"

namespace guda::worker {
namespace {

constexpr double kFewest = 1e-30;  // keeps 0/0 of parameters without any gradient at 0

/// Squared error per row of what a model predicts.
torch::Tensor row_losses(const Denoiser& model, Prediction prediction, const jobs::NoiseSchedule& schedule,
                         const StepImages& rows, torch::Device device) {
  return (predict_noise(model, prediction, schedule, rows, device) - rows.noise.flatten(1).to(device)).square().mean(1);
}

void take_gradients(std::vector<torch::Tensor>& parameters, std::vector<torch::Tensor>& sums, double factor,
                    bool squared) {
  const torch::NoGradGuard no_grad;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const torch::Tensor& gradient = parameters[i].grad();
    if (!gradient.defined()) continue;
    squared ? sums[i].addcmul_(gradient, gradient, factor) : sums[i].add_(gradient, factor);
    parameters[i].mutable_grad().reset();
  }
}

}  // namespace

void fisher_step(std::vector<torch::Tensor>& parameters, const std::vector<torch::Tensor>& gradient,
                 const std::vector<torch::Tensor>& fisher, double factor, double damping) {
  const torch::NoGradGuard no_grad;
  double sum = 0, count = 0;
  for (const torch::Tensor& f : fisher) {
    sum += f.sum(torch::kFloat64).item<double>();
    count += static_cast<double>(f.numel());
  }
  const double floor = damping * sum / count;
  for (std::size_t i = 0; i < parameters.size(); ++i)
    parameters[i].addcdiv_(gradient[i], (fisher[i] + floor).clamp_min(kFewest), factor);
}

Unlearned fisher_removal(const Denoiser& model, const jobs::UnlearnSpec& spec, const Examples& examples,
                         std::span<const std::uint32_t> removed, torch::Device device,
                         const std::function<void(const Progress&)>& progress, JobCheckpoints* checkpoints) {
  const jobs::UnlearnConfig& config = spec.unlearn;
  const jobs::Dataset& dataset = examples.dataset();
  const SeedPath seed = SeedPath(spec.seed) / "unlearn";
  const jobs::NoiseSchedule schedule(spec.diffusion);
  const Prediction prediction = prediction_from(spec.diffusion.prediction);
  ItemStream retain_stream(seed / "retain", dataset.train, removed);
  ItemStream forget_stream(seed / "forget", {removed.begin(), removed.end()});
  model->eval();
  std::vector<torch::Tensor> parameters = model->parameters(), gradient, fisher;
  for (const torch::Tensor& p : parameters) {
    gradient.push_back(torch::zeros_like(p, {}, at::MemoryFormat::Preserve));
    fisher.push_back(torch::zeros_like(p, {}, at::MemoryFormat::Preserve));
  }
  const torch::Tensor losses = torch::zeros({2}, torch::kFloat64);
  double* const sums = losses.data_ptr<double>();
  std::uint64_t first_step = 0;
  if (checkpoints) {
    NamedTensors state{{"losses", losses}};
    append_state(model.module(), state);
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      state.emplace_back("fisher.gradient." + std::to_string(i), gradient[i]);
      state.emplace_back("fisher.diagonal." + std::to_string(i), fisher[i]);
    }
    first_step = checkpoints->resume(std::move(state), config.steps, device);
  }
  const std::uint64_t tenth = std::max<std::uint64_t>(1, config.steps / 10);
  for (std::uint64_t step = first_step; step < config.steps; ++step) {
    const StepImages forget = draw_step_images(seed / "forget", step, config.forget_batch, config.horizontal_flip,
                                               forget_stream, examples, schedule);
    const torch::Tensor per_row = row_losses(model, prediction, schedule, forget, device);
    const torch::Tensor loss = per_row.mean();
    const double value = check_loss(loss, per_row, forget.timesteps, forget.items, step, "unlearning by fisher");
    loss.backward();
    take_gradients(parameters, gradient, 1.0 / config.steps, /*squared=*/false);

    const StepImages retain = draw_step_images(seed / "retain", step, config.retain_batch, config.horizontal_flip,
                                               retain_stream, examples, schedule);
    double retain_loss = 0;
    for (std::uint32_t i = 0; i < config.retain_batch; ++i) {
      const torch::Tensor row_loss = row_losses(model, prediction, schedule, rows_of(retain, {i, 1}), device).mean();
      row_loss.backward();
      take_gradients(parameters, fisher, 1.0 / (double(config.steps) * config.retain_batch), /*squared=*/true);
      retain_loss += row_loss.item<double>() / config.retain_batch;
    }
    if (step >= config.steps - tenth) {
      sums[0] += retain_loss / static_cast<double>(tenth);
      sums[1] += value / static_cast<double>(tenth);
    }
    const Progress done{step + 1, config.steps, value};
    checkpoints ? checkpoints->finished_step(done, progress) : progress(done);
  }
  const std::size_t retained = dataset.train.size() - removed.size();
  fisher_step(parameters, gradient, fisher, forget_weight(config, removed.size(), retained, 0), config.damping);
  for (const torch::Tensor& p : parameters) {
    if (!p.isfinite().all().item<bool>()) {
      throw DivergenceError(
          "the Newton step of the operator fisher is not finite; raise unlearn.damping or lower unlearn.strength");
    }
  }
  return {sums[0], sums[1]};
}

}  // namespace guda::worker
