#include "worker/unlearn/guard.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "common/error.hpp"
#include "common/random.hpp"
#include "jobs/operators.hpp"
#include "worker/unlearn/step_images.hpp"

namespace guda::worker {
namespace {

constexpr std::uint32_t kTimesteps = jobs::kGuardTimesteps;
constexpr std::size_t kRetainSample = jobs::kGuardRetainSample, kRows = 64;
constexpr double kRelativeStep = 1e-3;  // of the weights' norm: far above float32's rounding, far below curvature

/// Losses [rows] of items at evenly spread timesteps, the noise of a timestep shared by all items.
class FixedLosses {
 public:
  FixedLosses(const Denoiser& model, const jobs::UnlearnSpec& spec, const Examples& examples, torch::Device device)
      : model_(model),
        examples_(examples),
        schedule_(spec.diffusion),
        prediction_(prediction_from(spec.diffusion.prediction)),
        seed_(SeedPath(spec.seed) / "unlearn" / "guard"),
        device_(device) {}

  /// Calls use(losses, first item) for every block of items and timestep.
  template <class Use>
  void each(std::span<const std::uint32_t> items, const std::function<void()>& poll, Use&& use) const {
    if (items.empty()) return;
    std::vector<std::int64_t> shape = examples_.seen(items.first(1)).x0.sizes().vec();  // of one image
    for (std::uint32_t j = 0; j < kTimesteps; ++j) {
      const auto t = static_cast<std::uint32_t>((j + 0.5) / kTimesteps * schedule_.timesteps());
      const torch::Tensor noise = draw_noise(seed_ / "noise", j, shape, examples_.device());
      for (std::size_t first = 0; first < items.size(); first += kRows) {
        if (poll) poll();
        const auto block = items.subspan(first, std::min(kRows, items.size() - first));
        StepImages rows;
        rows.timesteps.assign(block.size(), t);
        const Seen seen = examples_.seen(block);
        rows.noise = noise.expand_as(seen.x0);
        rows.x_t = add_noise(seen.x0, rows.noise, noise_levels(schedule_, rows.timesteps, examples_.device()));
        rows.context = seen.contexts;
        const torch::Tensor target = rows.noise.flatten(1).to(device_);
        use((predict_noise(model_, prediction_, schedule_, rows, device_) - target).square().mean(1), first);
      }
    }
  }

  /// Loss of every item, averaged over the timesteps.
  [[nodiscard]] std::vector<double> of(std::span<const std::uint32_t> items, const std::function<void()>& poll) const {
    const torch::NoGradGuard no_grad;
    std::vector<double> sums(items.size(), 0.0);
    each(items, poll, [&](const torch::Tensor& losses, std::size_t first) {
      const torch::Tensor values = losses.to(torch::kCPU, torch::kFloat64).contiguous();
      const double* const loss = values.data_ptr<double>();
      for (std::size_t i = 0; i < static_cast<std::size_t>(values.numel()); ++i)
        sums[first + i] += loss[i] / kTimesteps;
    });
    return sums;
  }

  [[nodiscard]] SeedPath seed() const { return seed_; }

 private:
  const Denoiser& model_;
  const Examples& examples_;
  jobs::NoiseSchedule schedule_;
  Prediction prediction_;
  SeedPath seed_;
  torch::Device device_;
};

double norm_of(const std::vector<torch::Tensor>& tensors) {
  return torch::stack(at::_foreach_norm(tensors, 2)).norm().item<double>();
}

}  // namespace

std::vector<double> guard_weights(std::span<const double> alignments, double temperature) {
  if (!(temperature > 0)) throw Error("unlearn.guard_temperature: must be positive");
  const auto n = static_cast<double>(alignments.size());
  const double mean = std::accumulate(alignments.begin(), alignments.end(), 0.0) / n;
  double variance = 0;
  for (const double a : alignments) variance += (a - mean) * (a - mean) / n;
  std::vector<double> weights(alignments.size(), 1.0);
  if (variance == 0) return weights;
  double sum = 0;
  const double lowest = (*std::min_element(alignments.begin(), alignments.end()) - mean) / std::sqrt(variance);
  for (std::size_t i = 0; i < weights.size(); ++i) {
    weights[i] = std::exp((lowest - (alignments[i] - mean) / std::sqrt(variance)) / temperature);
    sum += weights[i];
  }
  for (double& weight : weights) weight *= n / sum;
  return weights;
}

std::vector<double> guard_alignments(const Denoiser& model, const jobs::UnlearnSpec& spec, const Examples& examples,
                                     std::span<const std::uint32_t> removed, torch::Device device,
                                     const std::function<void()>& poll) {
  const bool training = model->is_training();
  model->eval();
  const FixedLosses losses(model, spec, examples, device);
  std::vector<std::uint32_t> retained;
  for (const std::uint32_t item : examples.dataset().train) {
    if (!std::binary_search(removed.begin(), removed.end(), item)) retained.push_back(item);
  }
  std::sort(retained.begin(), retained.end());
  std::vector<std::uint32_t> sample;
  for (const std::uint32_t i :
       random_permutation(static_cast<std::uint32_t>(retained.size()), (losses.seed() / "sample").value())) {
    if (sample.size() < kRetainSample) sample.push_back(retained[i]);
  }

  std::vector<torch::Tensor> parameters = model->parameters(), gradient, before;
  losses.each(sample, poll, [&](const torch::Tensor& rows, std::size_t) {
    (rows.sum() / static_cast<double>(sample.size() * kTimesteps)).backward();
  });
  for (torch::Tensor& p : parameters) {
    gradient.push_back(p.grad().defined() ? p.grad().detach().clone() : torch::zeros_like(p));
    p.mutable_grad().reset();
    before.push_back(p.detach().clone(at::MemoryFormat::Preserve));
  }

  const double length = norm_of(gradient);
  std::vector<double> alignments(removed.size(), 0.0);
  if (length > 0) {
    const double step = kRelativeStep * norm_of(before) / length;
    const auto losses_at = [&](double along) {
      {
        const torch::NoGradGuard no_grad;
        for (std::size_t i = 0; i < parameters.size(); ++i) parameters[i].copy_(before[i]).add_(gradient[i], along);
      }
      return losses.of(removed, poll);
    };
    const std::vector<double> ahead = losses_at(step), behind = losses_at(-step);
    for (std::size_t i = 0; i < alignments.size(); ++i) alignments[i] = (ahead[i] - behind[i]) / (2 * step);
    const torch::NoGradGuard no_grad;
    for (std::size_t i = 0; i < parameters.size(); ++i) parameters[i].copy_(before[i]);
  }
  model->train(training);
  return alignments;
}

}  // namespace guda::worker
