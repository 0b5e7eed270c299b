#include "worker/training/optimizer.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "common/error.hpp"
#include "worker/profile/span.hpp"

namespace guda::worker {
namespace {

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

AdamW::AdamW(std::vector<torch::Tensor> parameters, const jobs::OptimizerConfig& config, double clip)
    : parameters_(std::move(parameters)), config_(config), clip_(clip) {
  for (const torch::Tensor& p : parameters_) {
    // preserve_format: the fused kernel walks parameter, gradient and moments as flat memory of one layout.
    first_moments_.push_back(torch::zeros_like(p, {}, at::MemoryFormat::Preserve));
    second_moments_.push_back(torch::zeros_like(p, {}, at::MemoryFormat::Preserve));
    steps_.push_back(torch::zeros({}, p.options().dtype(torch::kFloat32)));
  }
}

void AdamW::step(double lr) {
  const ProfileSpan span("guda::adamw");
  const torch::NoGradGuard no_grad;
  std::vector<torch::Tensor> gradients;
  gradients.reserve(parameters_.size());
  for (torch::Tensor& p : parameters_) {
    torch::Tensor gradient = p.grad().defined() ? p.grad() : torch::zeros_like(p, {}, at::MemoryFormat::Preserve);
    if (gradient.strides() != p.strides())
      gradient = torch::empty_like(p, {}, at::MemoryFormat::Preserve).copy_(gradient);
    gradients.push_back(std::move(gradient));
  }
  if (clip_ > 0) clip_gradients(gradients, clip_);
  at::_foreach_add_(steps_, 1);
  at::_fused_adamw_(parameters_, gradients, first_moments_, second_moments_, {}, steps_, lr, config_.beta1,
                    config_.beta2, config_.weight_decay, config_.eps, /*amsgrad=*/false, /*maximize=*/false);
  for (torch::Tensor& p : parameters_) p.mutable_grad().reset();
}

void AdamW::append_state(NamedTensors& state) const {
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    state.emplace_back("adamw.exp_avg." + std::to_string(i), first_moments_[i]);
    state.emplace_back("adamw.exp_avg_sq." + std::to_string(i), second_moments_[i]);
  }
}

void AdamW::resume_at(std::uint64_t step) {
  for (torch::Tensor& count : steps_) count.fill_(static_cast<float>(step));
}

Ema::Ema(std::vector<torch::Tensor> parameters, double max_decay)
    : parameters_(std::move(parameters)), max_decay_(max_decay) {
  const torch::NoGradGuard no_grad;
  for (const torch::Tensor& p : parameters_) averages_.push_back(p.detach().clone(at::MemoryFormat::Preserve));
}

void Ema::step() {
  const ProfileSpan span("guda::ema");
  const torch::NoGradGuard no_grad;
  at::_foreach_lerp_(averages_, parameters_, 1.0 - ema_decay(max_decay_, step_++));
}

void Ema::append_state(NamedTensors& state) const {
  for (std::size_t i = 0; i < averages_.size(); ++i) state.emplace_back("ema." + std::to_string(i), averages_[i]);
}

void Ema::copy_to_parameters() {
  const torch::NoGradGuard no_grad;
  for (std::size_t i = 0; i < parameters_.size(); ++i) parameters_[i].copy_(averages_[i]);
}

}  // namespace guda::worker
