#pragma once
// Which numbers of a model a training or unlearning loop changes: all, the attention's projections, or a LoRA's pairs.
#include <torch/torch.h>

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/digest.hpp"
#include "jobs/experiment.hpp"
#include "worker/models/lora.hpp"
#include "worker/training/checkpoint_file.hpp"
#include "worker/training/half_weights.hpp"

namespace guda::worker {

/// Whether the parameter of this name is trained by the kinds "all" and "attention".
[[nodiscard]] bool is_trained(const jobs::ParametersConfig& config, const std::string& parameter);

/// Everything else of the model is frozen while it lives: no gradient, no optimizer state, no place in checkpoints.
class TrainedParameters {
 public:
  /// A LoRA's first numbers are a function of `seed`. `bfloat16`: the whole network computes with bfloat16 copies of
  /// its weights while it lives. Throws Error when the model has nothing of that kind.
  TrainedParameters(torch::nn::Module& model, const jobs::ParametersConfig& config, const SeedPath& seed,
                    bool bfloat16 = false);
  ~TrainedParameters();
  TrainedParameters(const TrainedParameters&) = delete;
  TrainedParameters& operator=(const TrainedParameters&) = delete;

  /// float32: what the optimizer changes and averages.
  [[nodiscard]] const std::vector<torch::Tensor>& tensors() const noexcept { return masters_; }
  /// In the same order, what the network computes with and has gradients of: the same tensors, or bfloat16 copies.
  [[nodiscard]] const std::vector<torch::Tensor>& computed() const noexcept { return computed_; }
  /// The copies, for the optimizer to keep up to date; empty where there are none.
  [[nodiscard]] std::vector<torch::Tensor> halves() const;
  /// What a checkpoint must hold of the model: of "all" every parameter and buffer, else what is trained.
  void append_state(NamedTensors& state) const;
  /// After somebody has filled the state.
  void refresh();
  /// The model is float32 again and has a LoRA in its weights, which is returned; nothing for the other kinds. Once,
  /// after the last step.
  [[nodiscard]] std::optional<Lora> merge();

 private:
  torch::nn::Module& model_;
  const bool all_;
  std::vector<std::string> names_;  // of computed_
  std::vector<torch::Tensor> computed_, masters_, frozen_;
  std::optional<Lora> lora_;
  std::optional<HalfWeights> half_;
};

}  // namespace guda::worker
