#include "worker/attribution/sample_gradients.hpp"

#include <string>
#include <unordered_map>

#include "common/error.hpp"
#include "worker/models/sample_gradients.hpp"

namespace guda::worker {
namespace {

/// Where each parameter's columns begin.
using Columns = std::unordered_map<const at::TensorImpl*, std::int64_t>;

class MatrixSink final : public SampleGradientSink {
 public:
  MatrixSink(std::int64_t rows_per_sample, const Columns& columns, torch::Tensor out)
      : SampleGradientSink(rows_per_sample), columns_(columns), out_(std::move(out)) {}
  void take(const at::Tensor& parameter, const at::Tensor& gradient) override {
    if (gradient.size(0) != out_.size(0)) throw Bug("a layer saw one row for all samples: give every row its timestep");
    out_.narrow(1, columns_.at(parameter.unsafeGetTensorImpl()), parameter.numel())
        .view(gradient.sizes())
        .copy_(gradient);
    ++taken;
  }
  std::size_t taken = 0;

 private:
  const Columns& columns_;
  torch::Tensor out_;
};

class LengthSink final : public SampleGradientSink {
 public:
  explicit LengthSink(torch::Tensor out) : SampleGradientSink(1), out_(std::move(out)) {}
  void take(const at::Tensor&, const at::Tensor& gradient) override {
    out_.add_(gradient.flatten(1).square().sum(1).to(out_.device(), torch::kFloat64));
    ++taken;
  }
  std::size_t taken = 0;

 private:
  torch::Tensor out_;
};

void run(SampleGradientSink& sink, const std::function<torch::Tensor()>& losses) {
  torch::Tensor sum;
  {
    const SampleGradientScope scope(sink);
    sum = losses().sum();
  }
  sum.backward();
}

void require_all(std::size_t taken, const std::vector<std::string>& names) {
  if (taken == names.size()) return;
  throw Error("gradients of single images: " + std::to_string(names.size() - taken) + " of " +
              std::to_string(names.size()) +
              " weights of the model are in layers that give none; the methods trak, dtrak, das, abu and choi are for "
              "models that use all their layers");
}

}  // namespace

SampleGradients::SampleGradients(torch::nn::Module& model) {
  for (const auto& named : model.named_parameters()) {
    if (!named.value().requires_grad()) continue;
    fixed_.push_back(named.value());
    names_.push_back(named.key());
    weights_ += named.value().numel();
  }
  for (torch::Tensor& p : fixed_) p.requires_grad_(false);
}

SampleGradients::~SampleGradients() {
  for (torch::Tensor& p : fixed_) p.requires_grad_(true);
}

torch::Tensor SampleGradients::matrix(std::int64_t samples, std::int64_t rows_per_sample,
                                      const std::function<torch::Tensor()>& losses) {
  Columns columns;
  std::int64_t at = 0;
  for (const torch::Tensor& p : fixed_) {
    columns[p.unsafeGetTensorImpl()] = at;
    at += p.numel();
  }
  torch::Tensor out = torch::empty({samples, weights_}, fixed_.at(0).options().requires_grad(false));
  MatrixSink sink(rows_per_sample, columns, out);
  run(sink, losses);
  require_all(sink.taken, names_);
  return out;
}

torch::Tensor SampleGradients::squared_lengths(std::int64_t rows, const std::function<torch::Tensor()>& losses) {
  torch::Tensor out = torch::zeros({rows}, torch::kFloat64);
  LengthSink sink(out);
  run(sink, losses);
  require_all(sink.taken, names_);
  return out;
}

}  // namespace guda::worker
