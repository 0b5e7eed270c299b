#include "worker/training/optimizer.hpp"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

#include "common/error.hpp"
#include "worker/kernels/kernels.hpp"
#include "worker/profile/span.hpp"

namespace guda::worker {
namespace {

/// Whether our own kernels can walk the tensors as flat memory, side by side with tensors of the same layout.
bool is_flat(const std::vector<torch::Tensor>& tensors, c10::DeviceType where) {
  return std::all_of(tensors.begin(), tensors.end(), [&](const torch::Tensor& t) {
    return t.device().type() == where && t.scalar_type() == torch::kFloat32 && t.is_non_overlapping_and_dense();
  });
}

/// Runs body(tensor number) on the worker's threads.
template <class Body>
void over_tensors(std::size_t count, const Body& body) {
  at::parallel_for(0, static_cast<std::int64_t>(count), 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) body(static_cast<std::size_t>(i));
  });
}

/// Norm of all gradients together; the same bits on any number of threads.
double norm_of(const std::vector<torch::Tensor>& gradients) {
  std::vector<double> squares(gradients.size());
  over_tensors(gradients.size(), [&](std::size_t i) {
    squares[i] = kernels::kernels().sum_of_squares(gradients[i].numel(), gradients[i].const_data_ptr<float>());
  });
  return std::sqrt(std::accumulate(squares.begin(), squares.end(), 0.0));
}

/// torch.nn.utils.clip_grad_norm_ without its host synchronisation.
void clip_gradients(std::vector<torch::Tensor>& gradients, double clip) {
  const torch::Tensor norm = torch::stack(at::_foreach_norm(gradients, 2)).norm();
  at::_foreach_mul_(gradients, (clip / (norm + 1e-6)).clamp_max(1.0));
}

}  // namespace

double learning_rate(double lr, std::uint64_t step, std::uint64_t steps, std::uint64_t warmup_steps,
                     const std::string& decay) {
  if (decay != "cosine" && decay != "constant")
    throw Error("decay: '" + decay + "' is not known; known: cosine, constant");
  if (step < warmup_steps) return lr * static_cast<double>(step + 1) / static_cast<double>(warmup_steps);
  if (decay == "constant") return lr;
  const double progress = static_cast<double>(step - warmup_steps) / static_cast<double>(steps - warmup_steps);
  return lr * 0.5 * (1.0 + std::cos(std::numbers::pi * std::min(progress, 1.0)));
}

double ema_decay(double max_decay, std::uint64_t step) {
  if (step == 0) return 0;
  const auto n = static_cast<double>(step);
  return std::min(max_decay, (1.0 + n) / (10.0 + n));
}

AdamW::AdamW(std::vector<torch::Tensor> parameters, const jobs::OptimizerConfig& config, double clip,
             std::vector<torch::Tensor> halves)
    : parameters_(std::move(parameters)),
      halves_(std::move(halves)),
      config_(config),
      clip_(clip),
      flat_(is_flat(parameters_, torch::kCPU)) {
  for (const torch::Tensor& p : parameters_) {
    // preserve_format: the fused kernel walks parameter, gradient and moments as flat memory of one layout.
    first_moments_.push_back(torch::zeros_like(p, {}, at::MemoryFormat::Preserve));
    second_moments_.push_back(torch::zeros_like(p, {}, at::MemoryFormat::Preserve));
  }
  if (!parameters_.empty() && is_flat(parameters_, torch::kCUDA))
    fused_.emplace(parameters_, first_moments_, second_moments_, halves_);
}

void AdamW::step(double lr, Ema* ema, bool keep_gradients) {
  const ProfileSpan span("guda::adamw");
  const torch::NoGradGuard no_grad;
  std::vector<torch::Tensor>& computed = halves_.empty() ? parameters_ : halves_;
  std::vector<torch::Tensor> gradients;
  gradients.reserve(computed.size());
  for (torch::Tensor& p : computed) {
    torch::Tensor gradient = p.grad().defined() ? p.grad() : torch::zeros_like(p, {}, at::MemoryFormat::Preserve);
    if (gradient.strides() != p.strides())
      gradient = torch::empty_like(p, {}, at::MemoryFormat::Preserve).copy_(gradient);
    if (!fused_ && !halves_.empty()) gradient = gradient.to(torch::kFloat32);
    gradients.push_back(std::move(gradient));
  }
  ++step_;
  if (fused_) {
    step_on_gpu(gradients, lr, ema);
  } else {
    flat_ ? step_flat(gradients, lr) : step_by_libtorch(gradients, lr);
    for (std::size_t i = 0; i < halves_.size(); ++i) halves_[i].copy_(parameters_[i]);
    if (ema != nullptr) ema->step();
  }
  if (keep_gradients) return;
  for (torch::Tensor& p : computed) p.mutable_grad().reset();
}

void AdamW::step_on_gpu(const std::vector<torch::Tensor>& gradients, double lr, Ema* ema) {
  const auto n = static_cast<double>(step_);
  const cuda::AdamWStep step{.eps = static_cast<float>(config_.eps),
                             .new_first = static_cast<float>(1 - config_.beta1),
                             .beta2 = static_cast<float>(config_.beta2),
                             .new_second = static_cast<float>(1 - config_.beta2),
                             .kept = static_cast<float>(1 - lr * config_.weight_decay),
                             .size = static_cast<float>(lr / (1 - std::pow(config_.beta1, n))),
                             .second_scale = static_cast<float>(1 / std::sqrt(1 - std::pow(config_.beta2, n))),
                             .average_weight = ema != nullptr ? static_cast<float>(ema->next_weight()) : 0.0F};
  fused_->step(gradients, ema != nullptr ? ema->averages() : std::vector<torch::Tensor>{}, step, clip_);
}

void AdamW::step_flat(const std::vector<torch::Tensor>& gradients, double lr) {
  const auto n = static_cast<double>(step_);
  const double scale = clip_ > 0 ? std::min(1.0, clip_ / (norm_of(gradients) + 1e-6)) : 1.0;
  const kernels::AdamWStep step{.gradient_scale = static_cast<float>(scale),
                                .eps = static_cast<float>(config_.eps),
                                .new_first = static_cast<float>(1 - config_.beta1),
                                .beta2 = static_cast<float>(config_.beta2),
                                .new_second = static_cast<float>(1 - config_.beta2),
                                .kept = static_cast<float>(1 - lr * config_.weight_decay),
                                .size = static_cast<float>(lr / (1 - std::pow(config_.beta1, n))),
                                .second_scale = static_cast<float>(1 / std::sqrt(1 - std::pow(config_.beta2, n)))};
  over_tensors(parameters_.size(), [&](std::size_t i) {
    kernels::kernels().adamw(step, parameters_[i].numel(), gradients[i].const_data_ptr<float>(),
                             parameters_[i].mutable_data_ptr<float>(), first_moments_[i].mutable_data_ptr<float>(),
                             second_moments_[i].mutable_data_ptr<float>());
  });
}

void AdamW::step_by_libtorch(std::vector<torch::Tensor>& gradients, double lr) {
  if (clip_ > 0) clip_gradients(gradients, clip_);
  const torch::Tensor count = torch::full({}, static_cast<float>(step_), parameters_[0].options());
  at::_fused_adamw_(parameters_, gradients, first_moments_, second_moments_, {},
                    std::vector<torch::Tensor>(parameters_.size(), count), lr, config_.beta1, config_.beta2,
                    config_.weight_decay, config_.eps, /*amsgrad=*/false, /*maximize=*/false);
}

void AdamW::append_state(NamedTensors& state) const {
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    state.emplace_back("adamw.exp_avg." + std::to_string(i), first_moments_[i]);
    state.emplace_back("adamw.exp_avg_sq." + std::to_string(i), second_moments_[i]);
  }
}

Ema::Ema(std::vector<torch::Tensor> parameters, double max_decay)
    : parameters_(std::move(parameters)), max_decay_(max_decay), flat_(is_flat(parameters_, torch::kCPU)) {
  const torch::NoGradGuard no_grad;
  for (const torch::Tensor& p : parameters_) averages_.push_back(p.detach().clone(at::MemoryFormat::Preserve));
}

void Ema::step() {
  const ProfileSpan span("guda::ema");
  const torch::NoGradGuard no_grad;
  const double weight = 1.0 - ema_decay(max_decay_, step_++);
  if (!flat_) {
    at::_foreach_lerp_(averages_, parameters_, weight);
    return;
  }
  over_tensors(parameters_.size(), [&](std::size_t i) {
    kernels::kernels().move_towards(static_cast<float>(weight), parameters_[i].numel(),
                                    parameters_[i].const_data_ptr<float>(), averages_[i].mutable_data_ptr<float>());
  });
}

void Ema::append_state(NamedTensors& state) const {
  for (std::size_t i = 0; i < averages_.size(); ++i) state.emplace_back("ema." + std::to_string(i), averages_[i]);
}

void Ema::copy_to_parameters() {
  const torch::NoGradGuard no_grad;
  for (std::size_t i = 0; i < parameters_.size(); ++i) parameters_[i].copy_(averages_[i]);
}

}  // namespace guda::worker
