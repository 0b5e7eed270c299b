#include "worker/training/half_weights.hpp"

#include <utility>

namespace guda::worker {

HalfWeights::HalfWeights(std::vector<torch::Tensor> parameters) : parameters_(std::move(parameters)) {
  const torch::NoGradGuard no_grad;
  for (torch::Tensor& p : parameters_) {
    masters_.push_back(p.detach());
    p.mutable_grad().reset();
    p.set_data(p.to(torch::kBFloat16));
  }
}

HalfWeights::~HalfWeights() {
  const torch::NoGradGuard no_grad;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    parameters_[i].mutable_grad().reset();
    parameters_[i].set_data(masters_[i]);
  }
}

void HalfWeights::refresh() {
  const torch::NoGradGuard no_grad;
  for (std::size_t i = 0; i < parameters_.size(); ++i) parameters_[i].copy_(masters_[i]);
}

}  // namespace guda::worker
