#include "worker/unlearn/unlearner.hpp"

#include <algorithm>
#include <iterator>
#include <limits>
#include <map>
#include <optional>
#include <utility>

#include "common/error.hpp"
#include "jobs/noise_schedule.hpp"
#include "worker/diffusion/prediction.hpp"
#include "worker/training/images.hpp"
#include "worker/training/loss_guard.hpp"
#include "worker/training/optimizer.hpp"
#include "worker/training/streams.hpp"
#include "worker/unlearn/neighbours.hpp"
#include "worker/unlearn/operators.hpp"

namespace guda::worker {
namespace {

/// Differences of forget images to their nearest retain images, looked up by item.
class NeighbourTable {
 public:
  NeighbourTable(const jobs::Dataset& dataset, std::span<const std::uint32_t> removed, std::uint32_t k,
                 const std::function<void()>& poll) {
    std::vector<std::uint32_t> retained = dataset.train;
    std::erase_if(retained, [&](std::uint32_t item) { return std::binary_search(removed.begin(), removed.end(), item); });
    std::sort(retained.begin(), retained.end());  // ties of distance go by item, whatever the split's order
    retained_ = gather_images(dataset, retained).flatten(1);
    forgotten_ = gather_images(dataset, removed).flatten(1);
    index_ = nearest_neighbours(forgotten_, retained_, k, poll).index;
    for (std::size_t row = 0; row < removed.size(); ++row) row_[removed[row]] = static_cast<std::int64_t>(row);
  }
  /// [items, K, D]
  [[nodiscard]] torch::Tensor differences(std::span<const std::uint32_t> items) const {
    std::vector<std::int64_t> rows;
    std::transform(items.begin(), items.end(), std::back_inserter(rows), [&](std::uint32_t item) { return row_.at(item); });
    const torch::Tensor row = torch::tensor(rows);
    const torch::Tensor near = index_.index_select(0, row);
    const torch::Tensor images = retained_.index_select(0, near.flatten()).view({near.size(0), near.size(1), -1});
    return forgotten_.index_select(0, row).unsqueeze(1) - images;
  }

 private:
  torch::Tensor retained_, forgotten_, index_;
  std::map<std::uint32_t, std::int64_t> row_;
};

/// One half of a step: images with their timesteps and noise.
struct Half {
  std::vector<std::uint32_t> items;
  std::vector<std::uint32_t> timesteps;
  torch::Tensor noise, x_t;   ///< [rows, C, H, W]
};

Half draw_half(const SeedPath& seed, std::uint64_t step, std::uint32_t rows, ItemStream& stream,
               const jobs::Dataset& dataset, const jobs::NoiseSchedule& schedule) {
  Half half;
  half.items = stream.batch(step, rows);
  const torch::Tensor x0 = gather_images(dataset, half.items);
  half.timesteps = draw_timesteps(seed / "timestep", step, rows, schedule.timesteps(), /*stratified=*/true);
  half.noise = draw_noise(seed / "noise", step, x0.sizes());
  half.x_t = add_noise(x0, half.noise, noise_levels(schedule, half.timesteps));
  return half;
}

void append(Half& batch, const Half& more) {
  batch.items.insert(batch.items.end(), more.items.begin(), more.items.end());
  batch.timesteps.insert(batch.timesteps.end(), more.timesteps.begin(), more.timesteps.end());
  batch.x_t = torch::cat({batch.x_t, more.x_t});
}

/// Predicted noise [rows, D] of a model.
torch::Tensor predict_noise(UNet2D model, Prediction prediction, const jobs::NoiseSchedule& schedule, const Half& rows,
                            torch::Device device) {
  const torch::Tensor x_t = rows.x_t.to(device);
  const torch::Tensor output = model->forward(x_t, to_tensor(rows.timesteps).to(device));
  return to_eps(prediction, output, x_t, noise_levels(schedule, rows.timesteps, device)).flatten(1);
}

/// SNR of every row, float32 [rows].
torch::Tensor snr_of(const jobs::NoiseSchedule& schedule, std::span<const std::uint32_t> timesteps) {
  torch::Tensor snr = torch::empty({static_cast<std::int64_t>(timesteps.size())}, torch::kFloat32);
  std::transform(timesteps.begin(), timesteps.end(), snr.data_ptr<float>(),
                 [&](std::uint32_t t) { return static_cast<float>(schedule.snr(t)); });
  return snr;
}

}  // namespace

bool needs_teacher(const jobs::UnlearnConfig& config) {
  return find_operator(config).needs_teacher || config.preserve == "distillation";
}

double forget_weight(const jobs::UnlearnConfig& config, std::size_t removed, std::size_t retained, std::size_t groups) {
  const double ratio = static_cast<double>(removed) / static_cast<double>(retained);
  if (find_operator(config).weight_is_size_ratio) return ratio;
  return config.forget_scaling == "proportional" ? config.forget_weight * ratio * static_cast<double>(groups) : config.forget_weight;
}

Unlearned unlearn(UNet2D& model, const UNet2D& teacher, const jobs::UnlearnSpec& spec, const jobs::Dataset& dataset,
                  std::span<const std::uint32_t> removed, std::size_t groups, torch::Device device,
                  const std::function<void(const Progress&)>& progress, JobCheckpoints* checkpoints) {
  const jobs::UnlearnConfig& config = spec.unlearn;
  const OperatorEntry& op = find_operator(config);
  const bool forgets = op.forget_loss != nullptr;
  const bool distils = needs_teacher(config);
  if (removed.empty()) throw Error("there is nothing to unlearn: the removal set is empty");
  if (distils && teacher.is_empty()) throw Bug("the operator " + config.op + " was given no teacher");
  const SeedPath seed = SeedPath(spec.seed) / "unlearn";
  const jobs::NoiseSchedule schedule(spec.diffusion);
  const Prediction prediction = prediction_from(spec.diffusion.prediction);
  torch::manual_seed((seed / "dropout").value());

  ItemStream retain_stream(seed / "retain", dataset.train, removed);
  ItemStream forget_stream(seed / "forget", {removed.begin(), removed.end()});
  std::optional<NeighbourTable> neighbours;
  if (op.needs_neighbours) {
    neighbours.emplace(dataset, removed, config.neighbours,
                       [&] { progress({0, config.steps, std::numeric_limits<double>::quiet_NaN()}); });
  }
  const double weight = forget_weight(config, removed.size(), dataset.train.size() - removed.size(), groups);
  const auto split = static_cast<std::int64_t>(config.retain_batch);

  model->train();
  AdamW optimizer(model->parameters(), config.optimizer, config.clip);
  const torch::Tensor losses = torch::zeros({2}, torch::kFloat64);  // retain and forget: a tensor, to be part of the state
  double* const sums = losses.data_ptr<double>();
  const std::uint32_t tenth = std::max(1U, config.steps / 10);
  std::uint64_t first_step = 0;
  if (checkpoints) {
    NamedTensors state{{"losses", losses}};
    append_state(*model, state);
    optimizer.append_state(state);
    first_step = checkpoints->resume(std::move(state), config.steps, device);
    optimizer.resume_at(first_step);
  }
  for (std::uint64_t step = first_step; step < config.steps; ++step) {
    const Half retain = draw_half(seed / "retain", step, config.retain_batch, retain_stream, dataset, schedule);
    Half batch = retain;
    std::optional<Half> forget;
    if (forgets) {
      forget = draw_half(seed / "forget", step, config.forget_batch, forget_stream, dataset, schedule);
      append(batch, *forget);
    }
    const torch::Tensor predicted = predict_noise(model, prediction, schedule, batch, device);
    torch::Tensor taught;
    if (distils) {
      const torch::NoGradGuard no_grad;
      taught = predict_noise(teacher, prediction, schedule, op.needs_teacher ? batch : retain, device);
    }

    const torch::Tensor target = distils ? taught.narrow(0, 0, split) : retain.noise.flatten(1).to(device);
    torch::Tensor per_row = (predicted.narrow(0, 0, split) - target).square().mean(1);
    const torch::Tensor retain_loss = per_row.mean();
    torch::Tensor loss = retain_loss, forget_loss;
    if (forgets) {
      ForgetBatch rows;
      rows.prediction = predicted.narrow(0, split, config.forget_batch);
      rows.noise = forget->noise.flatten(1).to(device);
      rows.snr = snr_of(schedule, forget->timesteps).to(device);
      if (op.needs_teacher) rows.teacher = taught.narrow(0, split, config.forget_batch);
      if (neighbours) rows.differences = neighbours->differences(forget->items).to(device);
      const torch::Tensor forget_rows = op.forget_loss(rows, config);
      per_row = torch::cat({per_row, forget_rows});
      forget_loss = forget_rows.mean();
      loss = retain_loss + weight * forget_loss;
    }
    const double value = check_loss(loss, per_row, batch.timesteps, batch.items, step, "unlearning by " + config.op);
    loss.backward();
    optimizer.step(learning_rate(config.optimizer.lr, step, config.steps, config.warmup_steps, config.decay));
    if (step >= config.steps - tenth) {
      sums[0] += retain_loss.item<double>() / tenth;
      if (forgets) sums[1] += forget_loss.item<double>() / tenth;
    }
    const Progress done{step + 1, config.steps, value};
    checkpoints ? checkpoints->finished_step(done, progress) : progress(done);
  }
  model->eval();
  return {sums[0], sums[1]};
}

}  // namespace guda::worker
