// The kernels of worker/cuda/optimizer.cuh, run on this CPU, against those of worker/kernels.
#include <doctest/doctest.h>
#include <torch/torch.h>

#include <cmath>
#include <vector>

#include "tests/support/cuda_on_cpu.hpp"
// clang-format off
#include "worker/cuda/optimizer.cuh"
// clang-format on
#include "worker/kernels/kernels.hpp"

namespace guda::worker {
namespace {

using cuda_on_cpu::launch;

constexpr cuda::AdamWStep kStep{1e-8F, 0.1F, 0.999F, 0.001F, 0.9999F, 3e-3F, 31.6F, 0.25F};
constexpr std::int64_t kCounts[] = {1000, 1, 517};

struct State {
  std::vector<torch::Tensor> gradient, parameter, first, second, average;
};

State drawn() {
  torch::manual_seed(9);
  State s;
  for (const std::int64_t n : kCounts) {
    s.gradient.push_back(torch::randn({n}));
    s.parameter.push_back(torch::randn({n}));
    s.first.push_back(torch::randn({n}) * 0.1);
    s.second.push_back(torch::rand({n}));
    s.average.push_back(torch::randn({n}));
  }
  return s;
}

std::vector<cuda::Piece> pieces_of(State& s) {
  std::vector<cuda::Piece> pieces;
  for (std::size_t i = 0; i < s.gradient.size(); ++i) {
    pieces.push_back({s.gradient[i].data_ptr<float>(), s.parameter[i].data_ptr<float>(), s.first[i].data_ptr<float>(),
                      s.second[i].data_ptr<float>(), s.average[i].data_ptr<float>(), nullptr, nullptr, kCounts[i]});
  }
  return pieces;
}

void by_cuda(const std::vector<cuda::Piece>& pieces, double clip) {
  const auto count = static_cast<unsigned>(pieces.size());
  std::vector<double> scratch(pieces.size() + 1);
  if (clip > 0) {
    launch({count}, cuda::kPieceThreads, [&] { cuda::sum_of_squares_kernel(pieces.data(), scratch.data()); });
    launch({1}, cuda::kPieceThreads, [&] { cuda::clip_factor_kernel(scratch.data(), count, clip); });
  }
  launch({count}, cuda::kPieceThreads,
         [&] { cuda::adamw_kernel(pieces.data(), kStep, clip > 0 ? &scratch.back() : nullptr); });
}

void by_cpu(State& s, double scale) {
  const kernels::AdamWStep step{static_cast<float>(scale), kStep.eps,  kStep.new_first, kStep.beta2,
                                kStep.new_second,          kStep.kept, kStep.size,      kStep.second_scale};
  for (std::size_t i = 0; i < s.gradient.size(); ++i) {
    kernels::kernels().adamw(step, kCounts[i], s.gradient[i].data_ptr<float>(), s.parameter[i].data_ptr<float>(),
                             s.first[i].data_ptr<float>(), s.second[i].data_ptr<float>());
    kernels::kernels().move_towards(kStep.average_weight, kCounts[i], s.parameter[i].data_ptr<float>(),
                                    s.average[i].data_ptr<float>());
  }
}

void check_equal(const State& a, const State& b) {
  for (std::size_t i = 0; i < a.gradient.size(); ++i) {
    CHECK(torch::equal(a.parameter[i], b.parameter[i]));
    CHECK(torch::equal(a.first[i], b.first[i]));
    CHECK(torch::equal(a.second[i], b.second[i]));
    CHECK(torch::equal(a.average[i], b.average[i]));
  }
}

}  // namespace

TEST_CASE("cuda optimizer: AdamW and EMA have the bits of the CPU's kernels") {
  State gpu = drawn(), cpu = drawn();
  by_cuda(pieces_of(gpu), 0);
  by_cpu(cpu, 1);
  check_equal(gpu, cpu);
}

TEST_CASE("cuda optimizer: gradients are clipped to the norm of all pieces together, small ones not at all") {
  State gpu = drawn(), cpu = drawn();
  double squares = 0;
  for (const torch::Tensor& g : cpu.gradient) squares += g.to(torch::kFloat64).square().sum().item<double>();
  by_cuda(pieces_of(gpu), 2.0);
  by_cpu(cpu, 2.0 / (std::sqrt(squares) + 1e-6));
  check_equal(gpu, cpu);
  State untouched = drawn(), plain = drawn();
  by_cuda(pieces_of(untouched), 1e6);
  by_cpu(plain, 1);
  check_equal(untouched, plain);
}

TEST_CASE("cuda optimizer: with bfloat16 copies it reads their gradients and rounds the float32 weights to them") {
  State gpu = drawn(), cpu = drawn();
  std::vector<torch::Tensor> half, half_gradient;
  auto pieces = pieces_of(gpu);
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    half_gradient.push_back(gpu.gradient[i].to(torch::kBFloat16));
    half.push_back(torch::zeros_like(half_gradient[i]));
    cpu.gradient[i] = half_gradient[i].to(torch::kFloat32);
    pieces[i].gradient = nullptr;
    pieces[i].half = static_cast<std::uint16_t*>(half[i].data_ptr());
    pieces[i].half_gradient = static_cast<const std::uint16_t*>(half_gradient[i].const_data_ptr());
  }
  by_cuda(pieces, 0);
  by_cpu(cpu, 1);
  check_equal(gpu, cpu);
  for (std::size_t i = 0; i < half.size(); ++i) CHECK(torch::equal(half[i], gpu.parameter[i].to(torch::kBFloat16)));
}

}  // namespace guda::worker
