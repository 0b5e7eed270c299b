#pragma once
// The table of unlearning operators. All share one loop (unlearner.hpp): a retain batch and a forget batch in one
// forward, loss = MSE on the retain batch + weight * the operator's loss on the forget batch. An operator is a row here
// and a function; lambda, n_k/n_r and the retain loss are the loop's.
#include <torch/torch.h>

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "jobs/experiment.hpp"

namespace guda::worker {

/// The forget half of one step, as an operator sees it. All float32, rows = forget_batch, D = C*H*W.
struct ForgetBatch {
  torch::Tensor prediction;  ///< [rows, D] predicted noise; carries the gradient
  torch::Tensor noise;       ///< [rows, D]
  torch::Tensor teacher;     ///< [rows, D] noise predicted by the full model; defined when the row asks for it
  torch::Tensor unconditional, conditional;  ///< [rows, D] of the guide; defined when the row asks for them
  torch::Tensor anchor;  ///< [rows, D] predicted by the full model under anchor captions; defined when the row asks
  torch::Tensor snr;     ///< [rows] A_t / (1 - A_t)
  torch::Tensor fresh_noise;  ///< [rows, D] independent of everything else; defined when the row asks for it
  torch::Tensor differences;  ///< [rows, K, D] a_f - a_r to the K nearest retained; defined when the row asks for it
};

/// Loss of every row of the forget batch [rows]; the loop takes the mean and applies the weight.
using ForgetLoss = torch::Tensor (*)(const ForgetBatch&, const jobs::UnlearnConfig&);

struct OperatorEntry {
  std::string_view name;
  std::string_view summary;          ///< one line for people
  ForgetLoss forget_loss = nullptr;  ///< nullptr: no forget batch is drawn, or the operator has a loop of its own
  bool needs_neighbours = false;
  bool needs_teacher = false;  ///< on the forget batch
  bool needs_guide = false;    ///< predictions on the forget batch with and without each image's class or caption
  bool needs_anchor = false;   ///< the teacher under anchor captions (anchors.hpp)
  bool distils = false;        ///< the retain target is the teacher whatever `preserve` says
  bool needs_fresh_noise = false;
  bool weight_is_size_ratio =
      false;  ///< forget weight is strength n_k/n_r by derivation instead of forget_weight/forget_scaling
  bool retain_weight_is_size_ratio = false;  ///< the retain loss weighs n/n_r = 1 + n_k/n_r
  bool caps_gradient = false;                ///< the forget gradient's norm is limited by gradient_cap
  bool one_step = false;                     ///< not trained at all: fisher.hpp
  std::string_view fields;  ///< the UnlearnConfig fields it reads beyond the loop's own, separated by spaces
};

torch::Tensor retrack_exact_loss(const ForgetBatch& batch, const jobs::UnlearnConfig& config);
torch::Tensor retrack_clipped_loss(const ForgetBatch& batch, const jobs::UnlearnConfig& config);
torch::Tensor retrack_minsnr_loss(const ForgetBatch& batch, const jobs::UnlearnConfig& config);
torch::Tensor retrack_released_loss(const ForgetBatch& batch, const jobs::UnlearnConfig& config);
torch::Tensor ifu_loss(const ForgetBatch& batch, const jobs::UnlearnConfig& config);
torch::Tensor esd_loss(const ForgetBatch& batch, const jobs::UnlearnConfig& config);
torch::Tensor esd_class_loss(const ForgetBatch& batch, const jobs::UnlearnConfig& config);
torch::Tensor erasediff_loss(const ForgetBatch& batch, const jobs::UnlearnConfig& config);
torch::Tensor siss_loss(const ForgetBatch& batch, const jobs::UnlearnConfig& config);
torch::Tensor guda_c_loss(const ForgetBatch& batch, const jobs::UnlearnConfig& config);
torch::Tensor mucs_loss(const ForgetBatch& batch, const jobs::UnlearnConfig& config);

/// Adds `gradients` (of the forget loss; may hold undefined ones) to those that the parameters have, scaled down to a
/// norm of at most `cap` times that of the latter before their loss was multiplied by `weight`. cap 0: as they are.
void add_capped_gradients(std::vector<torch::Tensor>& parameters, const std::vector<torch::Tensor>& gradients,
                          double cap, double weight);

/// unconditional + guidance (unconditional - conditional).
torch::Tensor esd_target(const torch::Tensor& unconditional, const torch::Tensor& conditional, double guidance);

inline constexpr std::array kOperators{
    OperatorEntry{.name = "retrack_exact",
                  .summary = "noise target = posterior mean under the retain neighbours",
                  .forget_loss = retrack_exact_loss,
                  .needs_neighbours = true,
                  .fields = "forget_batch forget_weight forget_scaling neighbours preserve guard_temperature"},
    OperatorEntry{.name = "retrack_clipped",
                  .summary = "as retrack_exact, each neighbour's correction clipped to sqrt(2 kl_cap)",
                  .forget_loss = retrack_clipped_loss,
                  .needs_neighbours = true,
                  .fields = "forget_batch forget_weight forget_scaling neighbours kl_cap preserve guard_temperature"},
    OperatorEntry{
        .name = "retrack_minsnr",
        .summary = "as retrack_exact, rows weighted by min(SNR, gamma)/SNR",
        .forget_loss = retrack_minsnr_loss,
        .needs_neighbours = true,
        .fields = "forget_batch forget_weight forget_scaling neighbours minsnr_gamma preserve guard_temperature"},
    OperatorEntry{.name = "retrack_released",
                  .summary = "noise target 0: what the released code computes",
                  .forget_loss = retrack_released_loss,
                  .fields = "forget_batch forget_weight forget_scaling preserve guard_temperature"},
    OperatorEntry{.name = "finetune_retain",
                  .summary = "training goes on with the retain images, no forget term",
                  .fields = "preserve"},
    OperatorEntry{.name = "ifu",
                  .summary = "function-space influence: distillation minus the forget images' residual",
                  .forget_loss = ifu_loss,
                  .needs_teacher = true,
                  .distils = true,
                  .weight_is_size_ratio = true,
                  .fields = "forget_batch rho strength guard_temperature"},
    OperatorEntry{.name = "esd",
                  .summary = "noise target = teacher + w (teacher - noise): guidance away from the group",
                  .forget_loss = esd_loss,
                  .needs_teacher = true,
                  .fields = "forget_batch forget_weight forget_scaling guidance preserve guard_temperature"},
    OperatorEntry{.name = "esd_class",
                  .summary = "noise target = e_u + w (e_u - e_c): guidance away from each image's class or caption",
                  .forget_loss = esd_class_loss,
                  .needs_guide = true,
                  .fields = "forget_batch forget_weight forget_scaling guidance preserve guard_temperature"},
    OperatorEntry{.name = "erasediff",
                  .summary = "noise target = fresh, independent noise",
                  .forget_loss = erasediff_loss,
                  .needs_fresh_noise = true,
                  .fields = "forget_batch forget_weight forget_scaling preserve guard_temperature"},
    OperatorEntry{.name = "siss",
                  .summary = "ascent on the forget images with a capped gradient",
                  .forget_loss = siss_loss,
                  .weight_is_size_ratio = true,
                  .retain_weight_is_size_ratio = true,
                  .caps_gradient = true,
                  .fields = "forget_batch strength gradient_cap guard_temperature"},
    OperatorEntry{.name = "mucs",
                  .summary = "ascent on the forget images, each clamped at an untrained model's loss",
                  .forget_loss = mucs_loss,
                  .fields = "forget_batch forget_weight forget_scaling preserve guard_temperature"},
    OperatorEntry{.name = "fisher",
                  .summary = "one Newton step with the diagonal Fisher matrix of the retained images",
                  .weight_is_size_ratio = true,
                  .one_step = true,
                  .fields = "forget_batch strength damping"},
    OperatorEntry{.name = "guda_c",
                  .summary = "noise target = teacher under another style's caption",
                  .forget_loss = guda_c_loss,
                  .needs_anchor = true,
                  .distils = true,
                  .fields = "forget_batch forget_weight forget_scaling guard_temperature anchor"},
};

/// The row named `config.op`. Throws Error when there is none (listing all), when a number is out of range, or when a
/// field that this operator does not read differs from its default: nothing is accepted and ignored.
[[nodiscard]] const OperatorEntry& find_operator(const jobs::UnlearnConfig& config);

}  // namespace guda::worker
