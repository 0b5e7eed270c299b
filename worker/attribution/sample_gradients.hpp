#pragma once
// Per-sample gradients of a whole model, as rows of a matrix or as their lengths.
#include <torch/torch.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace guda::worker {

/// Switches the weights of a model to fixed and computes gradients of single samples; gives the weights back as they
/// were. The order of the columns is that of model->parameters(), those that are never trained left out.
class SampleGradients {
 public:
  /// `model` is a UNet2D or a UNet2DCondition: every layer of theirs with weights is covered.
  explicit SampleGradients(torch::nn::Module& model);
  ~SampleGradients();
  SampleGradients(const SampleGradients&) = delete;
  SampleGradients& operator=(const SampleGradients&) = delete;

  [[nodiscard]] std::int64_t weights() const noexcept { return weights_; }

  /// `losses` runs the model on samples x rows_per_sample consecutive rows and returns their losses [rows]. float32
  /// [samples, weights]: the gradient of the sum of each sample's losses. Throws Error when a weight of the model has
  /// no part in it, or is in a layer that can't tell samples apart.
  [[nodiscard]] torch::Tensor matrix(std::int64_t samples, std::int64_t rows_per_sample,
                                     const std::function<torch::Tensor()>& losses);
  /// Squared length of the gradient of every row's loss, float64 [rows].
  [[nodiscard]] torch::Tensor squared_lengths(std::int64_t rows, const std::function<torch::Tensor()>& losses);

 private:
  std::vector<torch::Tensor> fixed_;
  std::vector<std::string> names_;
  std::int64_t weights_ = 0;
};

}  // namespace guda::worker
