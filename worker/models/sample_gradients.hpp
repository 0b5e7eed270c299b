#pragma once
// Gradients of single images from one batched backward pass. While a scope is open, every layer with weights tells the
// scope's sink the gradient of each sample, from its input and the gradient of its output; nothing couples the images
// of a batch (GroupNorm and attention are per image), so these are the gradients that one image alone would give.
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/embedding.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>

#include <cstdint>

namespace guda::worker {

/// Takes gradients while the backward pass runs. Lives on the stack of the pass.
class SampleGradientSink {
 public:
  /// A batch holds `rows_per_sample` consecutive rows of every sample; their gradients arrive summed.
  explicit SampleGradientSink(std::int64_t rows_per_sample) : rows_per_sample_(rows_per_sample) {}
  virtual ~SampleGradientSink() = default;
  SampleGradientSink(const SampleGradientSink&) = delete;
  SampleGradientSink& operator=(const SampleGradientSink&) = delete;
  /// `gradient` [samples, shape of the parameter], flat or not, in any memory layout.
  virtual void take(const at::Tensor& parameter, const at::Tensor& gradient) = 0;
  [[nodiscard]] std::int64_t rows_per_sample() const noexcept { return rows_per_sample_; }

  /// The sink of the scope that is open on this thread, or nullptr.
  [[nodiscard]] static SampleGradientSink* current() noexcept;

 private:
  std::int64_t rows_per_sample_;
};

/// Makes `sink` the current one of this thread during a forward pass; like torch's grad mode.
class SampleGradientScope {
 public:
  explicit SampleGradientScope(SampleGradientSink& sink) noexcept;
  ~SampleGradientScope();
  SampleGradientScope(const SampleGradientScope&) = delete;
  SampleGradientScope& operator=(const SampleGradientScope&) = delete;

 private:
  SampleGradientSink* outer_;
};

/// Each tells the current sink, if any, about a layer's y once its gradient is known. `x` is what the layer was given.
void watch_convolution(const torch::nn::Conv2d& conv, const at::Tensor& x, bool enlarge, at::Tensor& y);
void watch_linear(const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& x, at::Tensor& y);
void watch_group_norm(const at::Tensor& gamma, const at::Tensor& beta, const at::Tensor& x, std::int64_t groups,
                      double eps, bool silu, at::Tensor& y);

/// The layer of x, watched. `bias` may be undefined; a `weight` of a 1x1 convolution is that of a linear layer of the
/// pixels. All but the embedding take [N, channels] or [N, tokens, channels].
[[nodiscard]] at::Tensor apply_linear(const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& x);
[[nodiscard]] at::Tensor apply_linear(torch::nn::Linear& linear, const at::Tensor& x);
[[nodiscard]] at::Tensor apply_layer_norm(torch::nn::LayerNorm& norm, const at::Tensor& x);
[[nodiscard]] at::Tensor apply_embedding(torch::nn::Embedding& table, const at::Tensor& rows);

}  // namespace guda::worker
