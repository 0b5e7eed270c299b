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
  torch::Tensor prediction;   ///< [rows, D] predicted noise; carries the gradient
  torch::Tensor noise;        ///< [rows, D]
  torch::Tensor teacher;      ///< [rows, D] noise predicted by the full model; defined when the row asks for it
  torch::Tensor snr;          ///< [rows] A_t / (1 - A_t)
  torch::Tensor differences;  ///< [rows, K, D] a_f - a_r to the K nearest retain images; defined when the row asks for it
};

/// Loss of every row of the forget batch [rows]; the loop takes the mean and applies the weight.
using ForgetLoss = torch::Tensor (*)(const ForgetBatch&, const jobs::UnlearnConfig&);

struct OperatorEntry {
  std::string_view name;
  std::string_view summary;        ///< one line for people
  ForgetLoss forget_loss;          ///< nullptr: no forget batch is drawn
  bool needs_neighbours;
  bool needs_teacher;              ///< on the forget batch; the retain target is then the teacher, too
  bool weight_is_size_ratio;       ///< forget weight is n_k/n_r by derivation instead of forget_weight/forget_scaling
  std::string_view fields;         ///< the UnlearnConfig fields it reads beyond the loop's own, separated by spaces
};

torch::Tensor retrack_exact_loss(const ForgetBatch& batch, const jobs::UnlearnConfig& config);
torch::Tensor retrack_clipped_loss(const ForgetBatch& batch, const jobs::UnlearnConfig& config);
torch::Tensor retrack_minsnr_loss(const ForgetBatch& batch, const jobs::UnlearnConfig& config);
torch::Tensor retrack_released_loss(const ForgetBatch& batch, const jobs::UnlearnConfig& config);
torch::Tensor ifu_loss(const ForgetBatch& batch, const jobs::UnlearnConfig& config);

inline constexpr std::array kOperators{
    OperatorEntry{"retrack_exact", "noise target = posterior mean under the retain neighbours", retrack_exact_loss, true,
                  false, false, "forget_batch forget_weight forget_scaling neighbours preserve"},
    OperatorEntry{"retrack_clipped", "as retrack_exact, each neighbour's correction clipped to sqrt(2 kl_cap)",
                  retrack_clipped_loss, true, false, false,
                  "forget_batch forget_weight forget_scaling neighbours kl_cap preserve"},
    OperatorEntry{"retrack_minsnr", "as retrack_exact, rows weighted by min(SNR, gamma)/SNR", retrack_minsnr_loss, true,
                  false, false, "forget_batch forget_weight forget_scaling neighbours minsnr_gamma preserve"},
    OperatorEntry{"retrack_released", "noise target 0: what the released code computes", retrack_released_loss, false,
                  false, false, "forget_batch forget_weight forget_scaling preserve"},
    OperatorEntry{"finetune_retain", "training goes on with the retain images, no forget term", nullptr, false, false,
                  false, "preserve"},
    OperatorEntry{"ifu", "function-space influence: distillation minus the forget images' residual", ifu_loss, false, true,
                  true, "forget_batch rho"},
};

/// The row named `config.op`. Throws Error when there is none (listing all), when a number is out of range, or when a
/// field that this operator does not read differs from its default: nothing is accepted and ignored.
[[nodiscard]] const OperatorEntry& find_operator(const jobs::UnlearnConfig& config);

}  // namespace guda::worker
