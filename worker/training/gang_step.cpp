#include "worker/training/gang_step.hpp"

#include <utility>

#include "common/error.hpp"

namespace guda::worker {

std::uint64_t take_state_of_root(Gang& gang, const NamedTensors& state, std::uint64_t step) {
  gang.broadcast(std::as_writable_bytes(std::span(&step, 1)));
  for (const auto& [name, tensor] : state) {
    if (!tensor.is_cpu() || !tensor.is_non_overlapping_and_dense()) throw Bug("a gang can't share the tensor " + name);
    gang.broadcast({static_cast<std::byte*>(tensor.data_ptr()), tensor.nbytes()});
  }
  return step;
}

GradientSum::GradientSum(Gang& gang, std::vector<torch::Tensor> parameters)
    : gang_(gang), parameters_(std::move(parameters)) {
  std::int64_t numbers = 1;
  for (const torch::Tensor& p : parameters_) numbers += p.numel();
  flat_ = torch::zeros({numbers}, torch::kFloat32);
}

double GradientSum::add_up(double loss) {
  const torch::NoGradGuard no_grad;
  std::int64_t at = 0;
  const auto place = [&](const torch::Tensor& gradient) {
    const torch::Tensor there = flat_.narrow(0, at, gradient.numel()).view(gradient.sizes());
    at += gradient.numel();
    return there;
  };
  // The same ones are missing everywhere: what a model does not use, no member uses.
  for (const torch::Tensor& p : parameters_) {
    if (p.grad().defined()) place(p.grad()).copy_(p.grad());
  }
  float* const numbers = flat_.data_ptr<float>();
  numbers[at] = static_cast<float>(loss);
  gang_.all_reduce({numbers, static_cast<std::size_t>(at) + 1});
  const double sum = numbers[at];
  at = 0;
  for (const torch::Tensor& p : parameters_) {
    if (p.grad().defined()) p.grad().copy_(place(p.grad()));
  }
  return sum;
}

}  // namespace guda::worker
