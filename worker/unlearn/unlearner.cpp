#include "worker/unlearn/unlearner.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "common/error.hpp"
#include "jobs/noise_schedule.hpp"
#include "worker/diffusion/prediction.hpp"
#include "worker/models/recompute.hpp"
#include "worker/models/seeded_build.hpp"
#include "worker/training/loss_guard.hpp"
#include "worker/training/optimizer.hpp"
#include "worker/training/streams.hpp"
#include "worker/training/trained_parameters.hpp"
#include "worker/unlearn/anchors.hpp"
#include "worker/unlearn/class_guide.hpp"
#include "worker/unlearn/fisher.hpp"
#include "worker/unlearn/guard.hpp"
#include "worker/unlearn/neighbour_table.hpp"
#include "worker/unlearn/operators.hpp"
#include "worker/unlearn/step_images.hpp"

namespace guda::worker {
namespace {

/// GUARD weights of the forget images, by item, and what they come from; empty when all weigh 1.
struct GuardTable {
  std::map<std::uint32_t, float> weights;
  std::optional<AlignmentSpread> alignment;
};

GuardTable guard_table(const Denoiser& model, const jobs::UnlearnSpec& spec, const Examples& examples,
                       std::span<const std::uint32_t> removed, torch::Device device,
                       const std::function<void()>& poll) {
  GuardTable table;
  if (spec.unlearn.guard_temperature == 0) return table;
  const std::vector<double> alignments = guard_alignments(model, spec, examples, removed, device, poll);
  const std::vector<double> weights = guard_weights(alignments, spec.unlearn.guard_temperature);
  AlignmentSpread& spread = table.alignment.emplace();
  const auto n = static_cast<double>(removed.size());
  for (const double a : alignments) spread.mean += a / n;
  for (const double a : alignments) spread.sd += (a - spread.mean) * (a - spread.mean) / n;
  spread.sd = std::sqrt(spread.sd);
  for (std::size_t i = 0; i < removed.size(); ++i) table.weights[removed[i]] = static_cast<float>(weights[i]);
  return table;
}

/// SNR of every row, float32 [rows].
torch::Tensor snr_of(const jobs::NoiseSchedule& schedule, std::span<const std::uint32_t> timesteps) {
  torch::Tensor snr = torch::empty({static_cast<std::int64_t>(timesteps.size())}, torch::kFloat32);
  std::transform(timesteps.begin(), timesteps.end(), snr.data_ptr<float>(),
                 [&](std::uint32_t t) { return static_cast<float>(schedule.snr(t)); });
  return snr;
}

/// float32 [items]
torch::Tensor weights_of(const std::map<std::uint32_t, float>& table, std::span<const std::uint32_t> items) {
  torch::Tensor weights = torch::empty({static_cast<std::int64_t>(items.size())}, torch::kFloat32);
  std::transform(items.begin(), items.end(), weights.data_ptr<float>(),
                 [&](std::uint32_t item) { return table.at(item); });
  return weights;
}

/// Whether the retain target is the full model's prediction.
bool distils(const jobs::UnlearnConfig& config) {
  return find_operator(config).distils || config.preserve == "distillation";
}

/// Rows of the two halves of a step that are computed at once.
struct StepPart {
  BatchShare retain, forget;
};

/// A step in parts of at most `micro_batch` rows (0: one part), of which each has its share of both halves, and at
/// least one row of each.
std::vector<StepPart> step_parts(const jobs::UnlearnConfig& config, bool forgets, std::uint32_t micro_batch) {
  const std::uint32_t forget_rows = forgets ? config.forget_batch : 0;
  const std::size_t most = std::min(config.retain_batch, forgets ? forget_rows : config.retain_batch);
  const std::size_t count = std::min(parts_of({0, config.retain_batch + forget_rows}, micro_batch).size(), most);
  std::vector<StepPart> parts;
  for (std::uint32_t i = 0; i < count; ++i) {
    const auto size = static_cast<std::uint32_t>(count);
    parts.push_back({share_of(config.retain_batch, i, size), share_of(forget_rows, i, size)});
  }
  return parts;
}

/// Adds gradients of one part to the sum over the parts before it.
void add_to(std::vector<torch::Tensor>& sum, const std::vector<torch::Tensor>& gradients) {
  if (sum.empty()) sum.resize(gradients.size());
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    if (gradients[i].defined()) sum[i] = sum[i].defined() ? sum[i] + gradients[i] : gradients[i];
  }
}

}  // namespace

bool needs_teacher(const jobs::UnlearnConfig& config, bool captions) {
  const OperatorEntry& op = find_operator(config);
  return op.needs_teacher || op.needs_anchor || distils(config) || (captions && op.needs_guide);
}

Denoiser student_of(const Denoiser& full, const Json& config, const jobs::ParametersConfig& parameters) {
  Denoiser student = unset_denoiser(config);
  const torch::NoGradGuard no_grad;
  const auto from = full->named_parameters();
  for (auto& p : student->named_parameters()) {
    const torch::Tensor theirs = from[p.key()].detach();
    p.value().set_data(is_trained(parameters, p.key()) ? theirs.clone(at::MemoryFormat::Preserve) : theirs);
  }
  const auto buffers = full->named_buffers();
  for (auto& b : student->named_buffers()) b.value().copy_(buffers[b.key()]);
  return student;
}

double forget_weight(const jobs::UnlearnConfig& config, std::size_t removed, std::size_t retained, std::size_t groups) {
  const double ratio = static_cast<double>(removed) / static_cast<double>(retained);
  if (find_operator(config).weight_is_size_ratio) return config.strength * ratio;
  return config.forget_scaling == "proportional" ? config.forget_weight * ratio * static_cast<double>(groups)
                                                 : config.forget_weight;
}

double retain_weight(const jobs::UnlearnConfig& config, std::size_t removed, std::size_t retained) {
  if (!find_operator(config).retain_weight_is_size_ratio) return 1;
  return 1 + static_cast<double>(removed) / static_cast<double>(retained);
}

Unlearned unlearn(const Denoiser& model, const Denoiser& teacher, const jobs::UnlearnSpec& spec,
                  const Examples& examples, std::span<const std::uint32_t> removed, std::size_t groups,
                  torch::Device device, const std::function<void(const Progress&)>& progress,
                  JobCheckpoints* checkpoints, const UNet2DCondition& guide, ComputeMode mode) {
  const jobs::UnlearnConfig& config = spec.unlearn;
  const jobs::Dataset& dataset = examples.dataset();
  const OperatorEntry& op = find_operator(config);
  const bool forgets = op.forget_loss != nullptr;
  const bool taught_retain = distils(config);
  if (removed.empty()) throw Error("there is nothing to unlearn: the removal set is empty");
  const bool captions = examples.has_captions();
  if (needs_teacher(config, captions) && teacher.is_empty())
    throw Bug("the operator " + config.op + " was given no teacher");
  if (op.needs_guide && !captions && guide.is_empty()) throw Bug("the operator " + config.op + " was given no guide");
  if (op.one_step) return fisher_removal(model, spec, examples, removed, device, progress, checkpoints);
  const bool teaches = op.needs_teacher || op.needs_anchor || taught_retain;
  const SeedPath seed = SeedPath(spec.seed) / "unlearn";
  const jobs::NoiseSchedule schedule(spec.diffusion);
  const Prediction prediction = prediction_from(spec.diffusion.prediction);
  seed_generators((seed / "dropout").value());

  ItemStream retain_stream(seed / "retain", dataset.train, removed);
  ItemStream forget_stream(seed / "forget", {removed.begin(), removed.end()});
  const auto poll = [&] { progress({0, config.steps, std::numeric_limits<double>::quiet_NaN()}); };
  std::shared_ptr<const NeighbourTable> neighbours;
  if (op.needs_neighbours)
    neighbours = neighbour_table(examples, removed, config.neighbours, config.horizontal_flip, poll);
  std::optional<Anchors> anchors;
  if (op.needs_anchor) anchors.emplace(config.anchor, examples, removed);
  const GuardTable guarded = guard_table(model, spec, examples, removed, device, poll);
  const std::map<std::uint32_t, float>& guard = guarded.weights;
  const std::size_t retained = dataset.train.size() - removed.size();
  const double weight = forget_weight(config, removed.size(), retained, groups);
  const double retaining = retain_weight(config, removed.size(), retained);
  const std::vector<StepPart> parts = step_parts(config, forgets, spec.micro_batch);
  const auto mean = [&](const torch::Tensor& rows, std::uint32_t of) {
    return parts.size() == 1 ? rows.mean() : rows.sum() / static_cast<double>(of);
  };

  model->train();
  TrainedParameters trained(model.module(), config.parameters, seed, mode.bfloat16);
  std::vector<torch::Tensor> parameters = trained.computed();
  AdamW optimizer(trained.tensors(), config.optimizer, config.clip, trained.halves());
  const torch::Tensor losses =
      torch::zeros({2}, torch::kFloat64);  // retain and forget: a tensor, to be part of the state
  double* const sums = losses.data_ptr<double>();
  const std::uint32_t tenth = std::max(1U, config.steps / 10);
  std::uint64_t first_step = 0;
  if (checkpoints) {
    NamedTensors state{{"losses", losses}};
    trained.append_state(state);
    optimizer.append_state(state);
    first_step = checkpoints->resume(std::move(state), config.steps, device);
    trained.refresh();
    optimizer.resume_at(first_step);
  }
  for (std::uint64_t step = first_step; step < config.steps; ++step) {
    const StepImages retain = draw_step_images(seed / "retain", step, config.retain_batch, config.horizontal_flip,
                                               retain_stream, examples, schedule);
    std::optional<StepImages> forget;
    if (forgets) {
      forget = draw_step_images(seed / "forget", step, config.forget_batch, config.horizontal_flip, forget_stream,
                                examples, schedule);
    }
    std::optional<StepImages> anchored;
    if (op.needs_anchor) anchored = anchors->of(*forget, seed / "forget", step, schedule);
    torch::Tensor fresh_noise;
    if (op.needs_fresh_noise) {
      fresh_noise = draw_noise(seed / "forget" / "fresh", step, forget->noise.sizes(), forget->noise.device());
    }

    double value = 0, retain_value = 0, forget_value = 0;
    const RecomputeScope recomputing(mode.recompute);
    std::vector<torch::Tensor> forget_gradients;
    for (const StepPart& part : parts) {
      const StepImages kept = rows_of(retain, part.retain);
      const auto split = static_cast<std::int64_t>(part.retain.count);
      StepImages batch = kept;
      std::optional<StepImages> leaving;
      if (forgets) {
        leaving = rows_of(*forget, part.forget);
        batch = joined(batch, *leaving);
      }
      const torch::Tensor predicted = predict_noise(model, prediction, schedule, batch, device);
      torch::Tensor taught;  // of the whole part, or of its retain rows where only they are taught
      if (teaches) {
        const torch::NoGradGuard no_grad;
        const StepImages asked = op.needs_teacher  ? batch
                                 : op.needs_anchor ? joined(kept, rows_of(*anchored, part.forget))
                                                   : kept;
        taught = predict_noise(teacher, prediction, schedule, asked, device);
      }

      const torch::Tensor target = taught_retain ? taught.narrow(0, 0, split) : kept.noise.flatten(1).to(device);
      torch::Tensor per_row = (predicted.narrow(0, 0, split) - target).square().mean(1);
      const torch::Tensor retain_loss = mean(per_row, config.retain_batch);
      const torch::Tensor retain_part = retaining == 1 ? retain_loss : retaining * retain_loss;
      torch::Tensor loss = retain_part, forget_loss;
      if (forgets) {
        ForgetBatch rows;
        rows.prediction = predicted.narrow(0, split, part.forget.count);
        rows.noise = leaving->noise.flatten(1).to(device);
        rows.snr = snr_of(schedule, leaving->timesteps).to(device);
        if (op.needs_teacher) rows.teacher = taught.narrow(0, split, part.forget.count);
        if (op.needs_anchor) rows.anchor = taught.narrow(0, split, part.forget.count);
        if (neighbours) {
          rows.differences =
              neighbours->differences(examples, leaving->items, leaving->flips, leaving->latent_noise).to(device);
        }
        if (op.needs_guide) {
          const Guidance guidance =
              captions ? guidance_by_captions(teacher, prediction, schedule, *leaving, examples, device)
                       : guidance_of(guide, prediction, schedule, *leaving, dataset, device);
          rows.unconditional = guidance.unconditional;
          rows.conditional = guidance.conditional;
        }
        if (op.needs_fresh_noise) rows.fresh_noise = part.forget.of(fresh_noise).flatten(1).to(device);
        torch::Tensor forget_rows = op.forget_loss(rows, config);
        if (!guard.empty()) forget_rows = forget_rows * weights_of(guard, leaving->items).to(device);
        per_row = torch::cat({per_row, forget_rows});
        forget_loss = mean(forget_rows, config.forget_batch);
        loss = retain_part + weight * forget_loss;
      }
      value += check_loss(loss, per_row, batch.timesteps, batch.items, step, "unlearning by " + config.op);
      if (op.caps_gradient) {
        add_to(forget_gradients, torch::autograd::grad({weight * forget_loss}, parameters, {}, /*retain_graph=*/true,
                                                       /*create_graph=*/false, /*allow_unused=*/true));
        retain_part.backward();
      } else {
        loss.backward();
      }
      if (step >= config.steps - tenth) {
        retain_value += retain_loss.item<double>();
        if (forgets) forget_value += forget_loss.item<double>();
      }
    }
    if (op.caps_gradient) add_capped_gradients(parameters, forget_gradients, config.gradient_cap, retaining);
    optimizer.step(learning_rate(config.optimizer.lr, step, std::max(config.horizon, config.steps), config.warmup_steps,
                                 config.decay));
    if (step >= config.steps - tenth) {
      sums[0] += retain_value / tenth;
      sums[1] += forget_value / tenth;
    }
    const Progress done{step + 1, config.steps, value};
    checkpoints ? checkpoints->finished_step(done, progress) : progress(done);
  }
  model->eval();
  return {sums[0], sums[1], guarded.alignment, trained.merge()};
}

}  // namespace guda::worker
