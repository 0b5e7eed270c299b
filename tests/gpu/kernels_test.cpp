#include <doctest/doctest.h>

#include <array>
#include <vector>

#include "tests/gpu/gpu.hpp"
#include "worker/device/attention_choice.hpp"
#include "worker/models/group_norm.hpp"
#include "worker/training/optimizer.hpp"
#include "worker/training/streams.hpp"

using namespace guda;
using namespace guda::worker;

namespace {

struct Normed {
  torch::Tensor y, dx, dgamma, dbeta;
};

Normed normed(torch::Tensor x, torch::Tensor gamma, torch::Tensor beta, const torch::Tensor& dy, std::int64_t groups,
              bool silu) {
  for (torch::Tensor* t : {&x, &gamma, &beta}) *t = t->detach().clone(at::MemoryFormat::Preserve).requires_grad_();
  const torch::Tensor y = group_norm(x, gamma, beta, groups, 1e-5, silu);
  y.backward(dy);
  return {y.detach(), x.grad(), gamma.grad(), beta.grad()};
}

}  // namespace

TEST_CASE("gpu group norm: forward and backward are the CPU's, for slabs of every width") {
  const torch::Device device = test::gpu();
  const std::vector<std::array<std::int64_t, 3>> shapes{{128, 32, 32}, {256, 32, 16}, {320, 32, 8},
                                                        {8, 4, 8},     {1280, 32, 4}, {15, 5, 6}};
  for (const auto& [channels, groups, side] : shapes) {
    CAPTURE(channels);
    const auto drawn = [&](std::uint64_t seed, at::IntArrayRef shape) { return draw_noise(SeedPath(seed), 0, shape); };
    const torch::Tensor x = test::last(drawn(1, {3, channels, side, side}) + 0.5), gamma = drawn(2, {channels}),
                        beta = drawn(3, {channels}), dy = test::last(drawn(4, {3, channels, side, side}));
    for (const bool silu : {true, false}) {
      const Normed cpu = normed(x, gamma, beta, dy, groups, silu);
      const Normed gpu = normed(x.to(device), gamma.to(device), beta.to(device), dy.to(device), groups, silu);
      CHECK(test::difference(gpu.y, cpu.y) < 2e-5);
      CHECK(test::difference(gpu.dx, cpu.dx) < 2e-5);
      CHECK(test::difference(gpu.dgamma, cpu.dgamma) < 5e-5);
      CHECK(test::difference(gpu.dbeta, cpu.dbeta) < 5e-5);
      CHECK(gpu.y.is_contiguous(at::MemoryFormat::ChannelsLast));
      const auto half = [&](const torch::Tensor& t) { return t.to(device, torch::kBFloat16); };
      const Normed rough = normed(half(x), half(gamma), half(beta), half(dy), groups, silu);
      CHECK(test::difference(rough.y, cpu.y) < 2e-2);
      CHECK(test::difference(rough.dx, cpu.dx) < 3e-2);
    }
  }
}

TEST_CASE("gpu optimizer: clipped AdamW and EMA of many tensors are the CPU's") {
  const torch::Device device = test::gpu();
  jobs::OptimizerConfig config;
  config.weight_decay = 0.01;
  const std::vector<std::vector<std::int64_t>> shapes{{16, 8, 3, 3}, {70'000}, {3}, {129, 513}};
  const auto run = [&](torch::Device where) {
    std::vector<torch::Tensor> parameters;
    for (std::size_t i = 0; i < shapes.size(); ++i)
      parameters.push_back(draw_noise(SeedPath(i), 0, shapes[i]).to(where).requires_grad_());
    AdamW optimizer(parameters, config, /*clip=*/3.0);
    Ema ema(parameters, 0.99);
    for (std::uint64_t step = 0; step < 10; ++step) {
      for (std::size_t i = 0; i < shapes.size(); ++i)
        parameters[i].mutable_grad() = draw_noise(SeedPath(100 + i), step, shapes[i]).to(where);
      optimizer.step(1e-2, &ema);
    }
    std::vector<torch::Tensor> all = parameters;
    all.insert(all.end(), ema.averages().begin(), ema.averages().end());
    return all;
  };
  const auto cpu = run(torch::kCPU), gpu = run(device);
  for (std::size_t i = 0; i < cpu.size(); ++i) CHECK(test::difference(gpu[i], cpu[i]) < 1e-6);
}

TEST_CASE("gpu attention: every choice computes the same; a timed one takes a kernel that fits") {
  const torch::Device device = test::gpu();
  const auto drawn = [](std::uint64_t seed, std::int64_t tokens) {
    return draw_noise(SeedPath(seed), 0, {2, 4, tokens, 40});
  };
  const torch::Tensor q = drawn(1, 64), k = drawn(2, 77), v = drawn(3, 77);
  const torch::Tensor want = at::scaled_dot_product_attention(q, k, v);
  if (device.is_cpu()) return;
  CHECK(test::difference(gpu_attention(q.to(device), k.to(device), v.to(device)), want) < 1e-5);
  (void)test::gpu("float32", /*deterministic=*/false);
  CHECK(test::difference(gpu_attention(q.to(device), k.to(device), v.to(device)), want) < 1e-5);
  REQUIRE(attention_timings().size() == 1);
  CHECK_FALSE(attention_timings().front().microseconds.empty());
}
