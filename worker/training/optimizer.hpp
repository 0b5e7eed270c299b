#pragma once
// AdamW, gradient clipping, EMA and the learning rate over a fixed list of parameters. On the CPU a step is a pass of
// our own kernels over each tensor (worker/kernels), on a GPU three launches over all of them (worker/cuda), with
// LibTorch's fused ones for what is neither float32 nor dense. Equations: Loshchilov & Hutter, "Decoupled weight decay
// regularization" (ICLR 2019), as in torch.optim.AdamW.
#include <torch/torch.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "jobs/experiment.hpp"
#include "worker/device/gpu_ops.hpp"
#include "worker/training/checkpoint_file.hpp"

namespace guda::worker {

/// Learning rate of optimizer step `step` (from 0): linear warm-up to lr over warmup_steps, then lr ("constant") or the
/// half-cosine that ends at 0 after `steps` ("cosine"). Throws Error on another `decay`.
[[nodiscard]] double learning_rate(double lr, std::uint64_t step, std::uint64_t steps, std::uint64_t warmup_steps,
                                   const std::string& decay);

/// Decay of the EMA after optimizer step `step` (from 0): min(max_decay, (1 + step)/(10 + step)), but 0 after the first
/// one, as diffusers' EMAModel has it: the initial weights leave no trace.
[[nodiscard]] double ema_decay(double max_decay, std::uint64_t step);

/// Exponential moving average of parameters.
class Ema {
 public:
  Ema(std::vector<torch::Tensor> parameters, double max_decay);
  void step();
  /// As AdamW's, for the averages.
  void append_state(NamedTensors& state) const;
  void resume_at(std::uint64_t step) noexcept { step_ = step; }
  /// Weight 1 - decay of the parameters in the step that follows, which is then taken to be done by somebody else.
  [[nodiscard]] double next_weight() noexcept { return 1.0 - ema_decay(max_decay_, step_++); }
  [[nodiscard]] const std::vector<torch::Tensor>& averages() const noexcept { return averages_; }
  /// Writes the averages into the parameters.
  void copy_to_parameters();

 private:
  std::vector<torch::Tensor> parameters_, averages_;
  double max_decay_;
  bool flat_;
  std::uint64_t step_ = 0;
};

class AdamW {
 public:
  /// `clip` bounds the global gradient norm; 0 = off. halves: empty, or what the network computes with instead of the
  /// parameters (half_weights.hpp): it has the gradients, and follows each step.
  AdamW(std::vector<torch::Tensor> parameters, const jobs::OptimizerConfig& config, double clip,
        std::vector<torch::Tensor> halves = {});
  /// Clips, updates the parameters from their gradients, then the averages, and drops the gradients, or keeps them
  /// where they are for a graph that writes them anew. A parameter without one counts as 0.
  void step(double lr, Ema* ema = nullptr, bool keep_gradients = false);
  /// Appends the moments, which share memory with the optimizer: what a continuation needs beside the parameters.
  void append_state(NamedTensors& state) const;
  /// Counts on from `step` finished steps, with moments that append_state() gave away and somebody has filled.
  void resume_at(std::uint64_t step) noexcept { step_ = step; }

 private:
  void step_flat(const std::vector<torch::Tensor>& gradients, double lr);
  void step_on_gpu(const std::vector<torch::Tensor>& gradients, double lr, Ema* ema);
  void step_by_libtorch(std::vector<torch::Tensor>& gradients, double lr);

  std::vector<torch::Tensor> parameters_, halves_, first_moments_, second_moments_;
  jobs::OptimizerConfig config_;
  double clip_;
  bool flat_;
  std::optional<gpu::FusedAdamW> fused_;  ///< where all is on a GPU
  std::uint64_t step_ = 0;                ///< finished
};

}  // namespace guda::worker
