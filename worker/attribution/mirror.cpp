#include "worker/attribution/mirror.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "common/digest.hpp"
#include "common/error.hpp"
#include "jobs/noise_schedule.hpp"
#include "worker/attribution/item_losses.hpp"
#include "worker/training/optimizer.hpp"
#include "worker/training/streams.hpp"
#include "worker/unlearn/step_images.hpp"

namespace guda::worker {
namespace {

constexpr double kNothing = std::numeric_limits<double>::quiet_NaN();
constexpr double kUntrainedLoss = 1;  // E|eps|^2 / D: what a network that predicts nothing loses
constexpr double kFewest = 1e-30;     // keeps 0/0 of weights without any gradient at 0
constexpr std::uint32_t kRows = 256;

/// The weights that may move, with a copy of what they were.
struct Movable {
  std::vector<torch::Tensor> weights, before;
  std::vector<std::int64_t> columns;  ///< of each in a vector over all weights of the model

  template <class Choose>
  Movable(const Denoiser& model, Choose&& choose) {
    const torch::NoGradGuard no_grad;
    std::int64_t at = 0;
    for (const auto& named : model->named_parameters()) {
      if (!named.value().requires_grad()) continue;
      if (choose(named.key())) {
        weights.push_back(named.value());
        before.push_back(named.value().detach().clone(at::MemoryFormat::Preserve));
        columns.push_back(at);
      }
      at += named.value().numel();
    }
  }
  Movable(const Movable&) = delete;
  Movable& operator=(const Movable&) = delete;
  ~Movable() { restore(); }  // a job that is taken back in the middle of a query leaves the model as it was
  void restore() {
    const torch::NoGradGuard no_grad;
    for (std::size_t i = 0; i < weights.size(); ++i) weights[i].copy_(before[i]);
  }
  void drop_gradients(const Denoiser& model) {
    for (const torch::Tensor& p : model->parameters()) p.mutable_grad().reset();
  }
};

/// What a query is: x_0 [C, H, W] and what the model is told [L, W], undefined for models without text.
struct Query {
  torch::Tensor x0, context;
};

/// Copies of one query under random timesteps and noise of batch number `step`.
StepImages query_rows(const SeedPath& seed, std::uint64_t step, std::uint32_t rows, const Query& query,
                      const jobs::NoiseSchedule& schedule, bool stratified) {
  StepImages half;
  half.timesteps = draw_timesteps(seed / "timesteps", step, rows, schedule.timesteps(), stratified);
  const torch::Tensor x0 = query.x0.unsqueeze(0).expand({rows, -1, -1, -1}).contiguous();
  half.noise = draw_noise(seed / "noise", step, x0.sizes());
  half.x_t = add_noise(x0, half.noise, noise_levels(schedule, half.timesteps));
  if (query.context.defined()) half.context = query.context.unsqueeze(0).expand({rows, -1, -1});
  return half;
}

class Mirror {
 public:
  Mirror(const Denoiser& model, const jobs::MirrorSpec& spec, const Examples& examples,
         std::span<const jobs::RemovalSet> groups, torch::Device device, std::function<void()> poll)
      : model_(model),
        spec_(spec),
        examples_(examples),
        schedule_(spec.diffusion),
        prediction_(prediction_from(spec.diffusion.prediction)),
        seed_(spec.seed),
        device_(device),
        poll_(std::move(poll)),
        sample_(sample_groups(groups, spec.method == "mucs" ? spec.mucs.items : spec.ascent.items, spec.seed)) {}

  [[nodiscard]] const GroupSample& sample() const { return sample_; }

  [[nodiscard]] ItemLosses losses(const std::vector<std::uint32_t>& timesteps, bool shared, bool flip) const {
    const std::vector<std::uint32_t>& items = sample_.items;
    const torch::Tensor x0 = examples_.clean(items, std::vector<bool>(flip ? items.size() : 0, true), torch::Tensor());
    ItemLosses::Contexts contexts;
    if (examples_.has_captions()) {
      contexts = [&items, this](std::span<const std::int64_t> rows) {
        std::vector<std::uint32_t> told;
        for (const std::int64_t row : rows) told.push_back(items[static_cast<std::size_t>(row)]);
        return examples_.context(told);
      };
    }
    const SeedPath seed = seed_ / "losses";
    return {x0, {items.begin(), items.end()}, timesteps, shared, spec_.diffusion, seed.value(), device_, contexts};
  }

  /// One or more steps along the gradient over the Fisher diagonal.
  void ascend(const Query& query, std::string_view name, Movable& movable, const torch::Tensor& fisher) {
    const jobs::AscentConfig& config = spec_.ascent;
    const double floor = config.damping * fisher.mean(torch::kFloat64).item<double>();
    for (std::uint32_t step = 0; step < config.steps; ++step) {
      std::vector<StepImages> batches;
      for (std::uint32_t first = 0; first < config.draws; first += kRows)
        batches.push_back(query_rows(seed_ / "query" / name / std::to_string(step), first / kRows,
                                     std::min(kRows, config.draws - first), query, schedule_, true));
      const double loss = query_loss(batches, true);
      std::vector<torch::Tensor> direction;
      double slope = 0;
      const torch::NoGradGuard no_grad;
      for (std::size_t i = 0; i < movable.weights.size(); ++i) {
        const torch::Tensor& w = movable.weights[i];
        const torch::Tensor diagonal = fisher.narrow(0, movable.columns[i], w.numel()).view(w.sizes()).to(device_);
        const torch::Tensor gradient = w.grad().defined() ? w.grad() : torch::zeros_like(w);
        direction.push_back(fisher_direction(gradient, diagonal, floor));
        slope += (gradient * direction.back()).sum(torch::kFloat64).item<double>();
      }
      movable.drop_gradients(model_);
      std::vector<torch::Tensor> from;
      for (const torch::Tensor& w : movable.weights) from.push_back(w.detach().clone(at::MemoryFormat::Preserve));
      const auto move = [&](double length) {
        for (std::size_t i = 0; i < from.size(); ++i) movable.weights[i].copy_(from[i]).add_(direction[i], length);
      };
      double length = config.lr / static_cast<double>(examples_.dataset().train.size());
      if (config.lr == 0) {
        const double rise = std::pow(1 + config.rise, 1.0 / config.steps) - 1;
        length = length_for_rise([&](double a) { return a == 0 ? loss : (move(a), query_loss(batches, false)); }, rise,
                                 slope);
      }
      move(length);
    }
  }

  struct Clamped {
    std::uint32_t steps = 0;
    double loss = 0;  ///< of the query, clamped, in the batch that was looked at last
  };
  /// MUCS's unlearning.
  Clamped unlearn_clamped(const Query& query, std::string_view name, Movable& movable) {
    const jobs::MucsConfig& config = spec_.mucs;
    jobs::OptimizerConfig adam;
    adam.lr = config.lr;
    adam.weight_decay = config.weight_decay;
    AdamW optimizer(movable.weights, adam, 0);
    const SeedPath seed = seed_ / "query" / name;
    ItemStream stream(seed / "retain", examples_.dataset().train);
    Clamped result;
    for (std::uint32_t step = 0; step < config.max_steps; ++step) {
      const StepImages rows =
          joined(query_rows(seed / "forget", step, config.batch, query, schedule_, false),
                 draw_step_images(seed / "retain", step, config.batch, false, stream, examples_, schedule_));
      const torch::Tensor losses =
          (predict_noise(model_, prediction_, schedule_, rows, device_) - rows.noise.flatten(1).to(device_))
              .square()
              .mean(1);
      const torch::Tensor forget = losses.narrow(0, 0, config.batch).clamp_max(kUntrainedLoss).mean();
      result = {step, forget.item<double>()};
      if (!std::isfinite(result.loss)) throw DivergenceError("unlearning a query by mucs diverged; lower mucs.lr");
      if (result.loss >= (1 - config.tolerance) * kUntrainedLoss) return result;
      (losses.narrow(0, config.batch, config.batch).mean() - config.forget_weight * forget).backward();
      optimizer.step(config.lr);
      movable.drop_gradients(model_);
      poll_();
    }
    result.steps = config.max_steps;
    return result;
  }

 private:
  /// Mean loss over all rows; with `gradient` also accumulated into the weights.
  double query_loss(const std::vector<StepImages>& batches, bool gradient) {
    const torch::AutoGradMode mode(gradient);
    double sum = 0, rows = 0;
    for (const StepImages& batch : batches) rows += static_cast<double>(batch.timesteps.size());
    for (const StepImages& batch : batches) {
      const torch::Tensor target = batch.noise.flatten(1).to(device_);
      const torch::Tensor part =
          (predict_noise(model_, prediction_, schedule_, batch, device_) - target).square().mean(1).sum() / rows;
      if (gradient) part.backward();
      sum += part.item<double>();
      poll_();
    }
    return sum;
  }

  const Denoiser& model_;
  const jobs::MirrorSpec& spec_;
  const Examples& examples_;
  jobs::NoiseSchedule schedule_;
  Prediction prediction_;
  SeedPath seed_;
  torch::Device device_;
  std::function<void()> poll_;
  GroupSample sample_;
};

bool moves(const jobs::MirrorSpec& spec, const std::string& name) {
  if (spec.method == "mucs") return !name.ends_with(".bias");
  if (spec.ascent.weights == "cross_attention")
    return name.find("attn2.to_k.") != std::string::npos || name.find("attn2.to_v.") != std::string::npos;
  return spec.ascent.weights == "all" || name.find(".to_") != std::string::npos;
}

std::vector<std::uint32_t> even_timesteps(std::uint32_t all, std::uint32_t count) {
  std::vector<std::uint32_t> timesteps;
  for (std::uint64_t s = 0; s < count; ++s) timesteps.push_back(static_cast<std::uint32_t>(s * all / count));
  return timesteps;
}

}  // namespace

torch::Tensor fisher_direction(const torch::Tensor& gradient, const torch::Tensor& diagonal, double floor) {
  return gradient / (diagonal + floor).clamp_min(kFewest);
}

torch::Tensor mean_skew(const torch::Tensor& before, const torch::Tensor& after, double softening) {
  return ((after - before) / (after + before + softening)).mean(1);
}

std::vector<std::uint32_t> skew_timesteps(const jobs::DiffusionConfig& diffusion, std::uint32_t count) {
  constexpr double kLeastSigma = 0.31;
  const jobs::NoiseSchedule schedule(diffusion);
  std::uint32_t first = 0;
  while (first + 1 < schedule.timesteps() && 1 / std::sqrt(schedule.snr(first)) < kLeastSigma) ++first;
  std::vector<std::uint32_t> timesteps = even_timesteps(schedule.timesteps() - first, count);
  for (std::uint32_t& t : timesteps) t += first;
  return timesteps;
}

double length_for_rise(const std::function<double(double)>& loss, double rise, double slope) {
  constexpr int kMostDoublings = 40, kMostSteps = 30;
  constexpr double kTolerance = 0.02;
  const double base = loss(0), target = rise * base;
  if (!(slope > 0) || !(base > 0)) throw Error("the loss of a query has no gradient: it can't be unlearned");
  // Illinois method: regula falsi that keeps no end for ever.
  double low = 0, low_value = -target, high = target / slope, high_value = loss(high) - base - target;
  for (int i = 0; i < kMostDoublings && high_value < 0; ++i) {
    low = high, low_value = high_value;
    high *= 2;
    high_value = loss(high) - base - target;
  }
  if (!(high_value >= 0)) throw Error("the loss of a query does not rise along its gradient; lower ascent.rise");
  double at = high, value = high_value;
  for (int i = 0, side = 0; i < kMostSteps && !(std::abs(value) <= kTolerance * target); ++i) {
    at = std::isfinite(high_value) ? low + (high - low) * low_value / (low_value - high_value) : (low + high) / 2;
    value = loss(at) - base - target;
    if (value >= 0 || std::isnan(value)) {
      high = at, high_value = std::isnan(value) ? std::numeric_limits<double>::infinity() : value;
      if (side == 1) low_value /= 2;
      side = 1;
    } else {
      low = at, low_value = value;
      if (side == -1) high_value /= 2;
      side = -1;
    }
  }
  return at;
}

MirrorScores mirror_scores(const Denoiser& model, const jobs::MirrorSpec& spec, const Seen& queries,
                           std::span<const std::string> names, const torch::Tensor& fisher, const Examples& examples,
                           std::span<const jobs::RemovalSet> groups, torch::Device device,
                           const std::function<void(const Progress&)>& progress, JobCheckpoints* checkpoints) {
  const bool mucs = spec.method == "mucs";
  const std::uint64_t all = names.size() * kMirrorParts;
  std::uint64_t query = 0, part = 0;
  const auto poll = [&] {
    try {
      progress({query * kMirrorParts + part, all, kNothing});
    } catch (const Cancelled&) {
      if (checkpoints != nullptr) checkpoints->hand_back(query * kMirrorParts);
      throw;
    }
    part = std::min(part + 1, kMirrorParts - 1);
  };
  model->eval();
  Mirror mirror(model, spec, examples, groups, device, poll);
  Movable movable(model, [&](const std::string& name) { return moves(spec, name); });
  if (movable.weights.empty())
    throw Error("methods." + spec.method + ": the model has no such attention layers; use ascent.weights: all");
  const std::vector<std::uint32_t> timesteps = mucs ? skew_timesteps(spec.diffusion, spec.mucs.timesteps)
                                                    : even_timesteps(spec.diffusion.timesteps, spec.ascent.timesteps);
  const ItemLosses losses = mirror.losses(timesteps, mucs, false);
  const torch::Tensor before = losses.of(model, poll);
  std::optional<ItemLosses> mirrored;
  torch::Tensor mirrored_before;
  if (!mucs && spec.ascent.flip) {
    mirrored = mirror.losses(timesteps, false, true);
    mirrored_before = mirrored->of(model, poll);
  }

  MirrorScores result;
  result.items = mirror.sample().items;
  const auto rows = static_cast<std::int64_t>(names.size()), columns = static_cast<std::int64_t>(groups.size());
  const std::int64_t kept = std::min<std::int64_t>(mucs ? spec.mucs.keep_instances : spec.ascent.keep_instances,
                                                   static_cast<std::int64_t>(result.items.size()));
  // Tensors, to be the state that a checkpoint holds.
  const torch::Tensor scores = torch::zeros({rows, columns}, torch::kFloat64), errors = torch::zeros_like(scores),
                      means = torch::zeros({2}, torch::kFloat64),
                      best_scores = torch::zeros({rows, kept}, torch::kFloat64),
                      best_rows = torch::zeros({rows, kept}, torch::kInt64);
  double* const mean = means.data_ptr<double>();
  if (checkpoints != nullptr) {
    query = checkpoints->resume({{"scores", scores},
                                 {"standard_errors", errors},
                                 {"means", means},
                                 {"best_scores", best_scores},
                                 {"best_items", best_rows}},
                                all, device) /
            kMirrorParts;
  }
  while (query < names.size()) {
    const auto row = static_cast<std::int64_t>(query);
    part = 0;
    const Query subject{queries.x0[row], queries.contexts.defined() ? queries.contexts[row] : torch::Tensor()};
    torch::Tensor change;
    if (mucs) {
      const Mirror::Clamped end = mirror.unlearn_clamped(subject, names[query], movable);
      const torch::Tensor after = losses.of(model, poll);
      mean[0] += end.steps / static_cast<double>(names.size());
      mean[1] += end.loss / static_cast<double>(names.size());
      change = mean_skew(before, after, spec.mucs.softening);
    } else {
      mirror.ascend(subject, names[query], movable, fisher);
      change = (losses.of(model, poll) - before).mean(1);
      if (mirrored) change = torch::maximum(change, (mirrored->of(model, poll) - mirrored_before).mean(1));
      mean[0] += spec.ascent.steps / static_cast<double>(names.size());
    }
    movable.restore();
    if (kept > 0) {
      const auto [best, items] = change.cpu().topk(kept);
      best_scores[row].copy_(best);
      best_rows[row].copy_(items);
    }
    const GroupMeans found = group_means(change, mirror.sample());
    std::copy(found.mean.begin(), found.mean.end(), scores[row].data_ptr<double>());
    std::copy(found.standard_error.begin(), found.standard_error.end(), errors[row].data_ptr<double>());
    const Progress done{++query * kMirrorParts, all, kNothing};
    checkpoints != nullptr ? checkpoints->finished_step(done, progress) : progress(done);
  }
  result.scores.assign(scores.data_ptr<double>(), scores.data_ptr<double>() + scores.numel());
  result.standard_error.assign(errors.data_ptr<double>(), errors.data_ptr<double>() + errors.numel());
  result.mean_steps = mean[0];
  result.mean_loss = mean[1];
  if (kept > 0) result.instances = TopInstances{best_scores, best_rows};
  if (checkpoints != nullptr) checkpoints->keep_end(all);
  return result;
}

}  // namespace guda::worker
