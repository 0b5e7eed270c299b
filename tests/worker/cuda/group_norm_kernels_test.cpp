// The kernels of worker/cuda/group_norm.cuh, run on this CPU, against LibTorch's operations in float64.
#include <doctest/doctest.h>
#include <torch/torch.h>

#include <limits>
#include <vector>

#include "tests/support/cuda_on_cpu.hpp"
// clang-format off
#include "worker/cuda/group_norm.cuh"
// clang-format on

namespace guda::worker {
namespace {

using cuda::Bf16;
using cuda_on_cpu::launch;

struct Case {
  std::int64_t batch, channels, groups, side;
  bool silu;
};
// Groups narrower and wider than a slab, an odd number of channels in each, a last slab that is narrower, one group.
const std::vector<Case> kCases{{2, 128, 32, 3, true}, {2, 16, 4, 5, true}, {1, 320, 32, 4, false},
                               {2, 12, 4, 3, true},   {1, 15, 5, 4, true}, {1, 1280, 32, 2, true},
                               {2, 64, 1, 3, false},  {1, 48, 16, 1, true}};

struct Result {
  torch::Tensor y, dx, dgamma, dbeta;
};

template <class T, int V>
Result by_kernels(const Case& c, const torch::Tensor& x, const torch::Tensor& gamma, const torch::Tensor& beta,
                  const torch::Tensor& dy) {
  const cuda::NormShape shape{c.batch, c.side * c.side, c.channels, c.groups, 1e-5F, c.silu};
  const int slab = cuda::slab_of(shape, V);
  const CudaIndex grid{static_cast<unsigned>((c.channels + slab - 1) / slab), static_cast<unsigned>(c.batch)};
  torch::Tensor y = torch::full_like(x, 77), dx = torch::full_like(x, 77);
  torch::Tensor mean = torch::empty({c.batch, c.groups}), rstd = torch::empty_like(mean);
  torch::Tensor partial = torch::full({c.batch, 2, c.channels}, 77.0F);
  const auto in = [](const torch::Tensor& t) { return static_cast<const T*>(t.const_data_ptr()); };
  const auto out = [](torch::Tensor& t) { return static_cast<T*>(t.data_ptr()); };
  launch(grid, cuda::kNormThreads, [&] {
    cuda::group_norm_forward_kernel<T, V>(shape, slab, in(x), in(gamma), in(beta), out(y), mean.data_ptr<float>(),
                                          rstd.data_ptr<float>());
  });
  launch(grid, cuda::kNormThreads, [&] {
    cuda::group_norm_backward_kernel<T, V>(shape, slab, in(x), in(gamma), in(beta), mean.data_ptr<float>(),
                                           rstd.data_ptr<float>(), in(dy), out(dx), partial.data_ptr<float>());
  });
  return {y, dx, partial.sum(0)[0], partial.sum(0)[1]};
}

/// Of [batch, pixels, channels].
Result by_libtorch(const Case& c, const torch::Tensor& x_in, const torch::Tensor& gamma_in,
                   const torch::Tensor& beta_in, const torch::Tensor& dy) {
  const auto leaf = [](const torch::Tensor& t) { return t.to(torch::kFloat64).detach().clone().requires_grad_(); };
  const torch::Tensor x = leaf(x_in), gamma = leaf(gamma_in), beta = leaf(beta_in);
  torch::Tensor y = at::group_norm(x.transpose(1, 2), c.groups, gamma, beta, 1e-5).transpose(1, 2);
  if (c.silu) y = at::silu(y);
  y.backward(dy.to(torch::kFloat64));
  return {y.detach(), x.grad(), gamma.grad(), beta.grad()};
}

double worst(const torch::Tensor& got, const torch::Tensor& want) {
  return (got.to(torch::kFloat64) - want).abs().max().item<double>() / want.abs().max().item<double>();
}

template <class T, int V>
void check(const Case& c, torch::ScalarType type, double tolerance, double mean = 0) {
  CAPTURE(c.channels);
  CAPTURE(c.groups);
  torch::manual_seed(1);
  const auto drawn = [&](at::IntArrayRef shape) { return torch::randn(shape).to(type); };
  const torch::Tensor x = (torch::randn({c.batch, c.side * c.side, c.channels}) + mean).to(type);
  const torch::Tensor gamma = drawn({c.channels}), beta = drawn({c.channels}), dy = drawn(x.sizes());
  const Result got = by_kernels<T, V>(c, x, gamma, beta, dy), want = by_libtorch(c, x, gamma, beta, dy);
  CHECK(worst(got.y, want.y) < tolerance);
  CHECK(worst(got.dx, want.dx) < tolerance);
  CHECK(worst(got.dgamma, want.dgamma) < tolerance);
  CHECK(worst(got.dbeta, want.dbeta) < tolerance);
}

}  // namespace

TEST_CASE("cuda group norm: forward and backward are LibTorch's in float64 but for float32's rounding") {
  for (const Case& c : kCases) {
    if (c.channels % 4 == 0) check<float, 4>(c, torch::kFloat32, 2e-5);
    if (c.channels <= 256) check<float, 1>(c, torch::kFloat32, 2e-5);
  }
}

TEST_CASE("cuda group norm: a mean far from zero costs no digits of the variance") {
  check<float, 4>({2, 128, 32, 4, true}, torch::kFloat32, 2e-4, 300);
}

TEST_CASE("cuda group norm: bfloat16 in and out, statistics in float32") {
  for (const Case& c : kCases) {
    if (c.channels % 4 == 0) check<Bf16, 4>(c, torch::kBFloat16, 1e-2);
  }
}

TEST_CASE("cuda group norm: numbers that are not finite stay visible") {
  const Case c{1, 32, 8, 2, true};
  torch::Tensor x = torch::zeros({1, 4, 32});
  x[0][1][5] = std::numeric_limits<float>::quiet_NaN();
  const Result got = by_kernels<float, 4>(c, x, torch::ones({32}), torch::zeros({32}), torch::ones_like(x));
  CHECK(got.y.isnan().select(2, 4).all().item<bool>());
  CHECK_FALSE(got.y.isnan().select(2, 0).any().item<bool>());
}

}  // namespace guda::worker
