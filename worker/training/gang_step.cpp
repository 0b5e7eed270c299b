#include "worker/training/gang_step.hpp"

#include <utility>

#include "common/error.hpp"

namespace guda::worker {

std::uint64_t take_state_of_root(Gang& gang, const NamedTensors& state, std::uint64_t step) {
  gang.broadcast(std::as_writable_bytes(std::span(&step, 1)));
  for (const auto& [name, tensor] : state) {
    if (!tensor.is_non_overlapping_and_dense()) throw Bug("a gang can't share the tensor " + name);
    const torch::Tensor host = tensor.detach().cpu();  // on a CPU the tensor itself
    gang.broadcast({static_cast<std::byte*>(host.data_ptr()), host.nbytes()});
    const torch::NoGradGuard no_grad;
    if (!tensor.is_cpu()) torch::Tensor(tensor).copy_(host);
  }
  return step;
}

GradientSum::GradientSum(Gang& gang, std::vector<torch::Tensor> parameters)
    : gang_(gang), parameters_(std::move(parameters)) {
  std::int64_t numbers = 1;
  for (const torch::Tensor& p : parameters_) numbers += p.numel();
  flat_ = torch::zeros({numbers}, torch::TensorOptions().dtype(torch::kFloat32).device(parameters_.at(0).device()));
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
  torch::Tensor used = flat_.narrow(0, 0, at + 1);
  used[at] = static_cast<float>(loss);
  gang_.all_reduce(used);
  const double sum = used[at].item<float>();
  at = 0;
  for (const torch::Tensor& p : parameters_) {
    if (p.grad().defined()) p.grad().copy_(place(p.grad()));
  }
  return sum;
}

}  // namespace guda::worker
