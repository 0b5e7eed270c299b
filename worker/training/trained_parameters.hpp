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

namespace guda::worker {

/// Whether the parameter of this name is trained by the kinds "all" and "attention".
[[nodiscard]] bool is_trained(const jobs::ParametersConfig& config, const std::string& parameter);

/// Everything else of the model is frozen while it lives: no gradient, no optimizer state, no place in checkpoints.
class TrainedParameters {
 public:
  /// A LoRA's first numbers are a function of `seed`. Throws Error when the model has nothing of that kind.
  TrainedParameters(torch::nn::Module& model, const jobs::ParametersConfig& config, const SeedPath& seed);
  ~TrainedParameters();
  TrainedParameters(const TrainedParameters&) = delete;
  TrainedParameters& operator=(const TrainedParameters&) = delete;

  [[nodiscard]] const std::vector<torch::Tensor>& tensors() const noexcept { return tensors_; }
  /// What a checkpoint must hold of the model: of "all" every parameter and buffer, else what is trained.
  void append_state(NamedTensors& state) const;
  /// Merges a LoRA into the model's weights and returns it; nothing for the other kinds. Once, after the last step.
  [[nodiscard]] std::optional<Lora> merge();

 private:
  torch::nn::Module& model_;
  const bool all_;
  std::vector<torch::Tensor> tensors_, frozen_;
  NamedTensors named_;
  std::optional<Lora> lora_;
};

}  // namespace guda::worker
