#include "worker/training/optimizer.hpp"

#include <doctest/doctest.h>
#include <torch/torch.h>

#include <cmath>
#include <filesystem>

#include "common/error.hpp"
#include "common/npy.hpp"

using namespace guda;
using namespace guda::worker;

namespace {

/// One row of the recording as the three tensors it holds.
std::vector<torch::Tensor> unpack(const std::vector<float>& values, std::size_t row) {
  const torch::Tensor flat =
      torch::tensor(std::vector<float>(values.begin() + row * 19, values.begin() + (row + 1) * 19));
  return {flat.narrow(0, 0, 6).view({2, 3}).clone(), flat.narrow(0, 6, 5).clone(),
          flat.narrow(0, 11, 8).view({2, 1, 2, 2}).clone()};
}

double worst(const std::vector<torch::Tensor>& got, const std::vector<torch::Tensor>& expected) {
  double error = 0;
  for (std::size_t i = 0; i < got.size(); ++i)
    error = std::max(error, (got[i] - expected[i]).abs().max().item<double>());
  return error;
}

}  // namespace

TEST_CASE("optimizer: AdamW, clipping, the rate and the EMA follow PyTorch and diffusers on their recorded gradients") {
  const NpyArray recording = read_npy(std::filesystem::path(GUDA_SOURCE_DIR) / "tests/golden/optimizer.npy");
  REQUIRE(recording.shape == std::vector<std::uint64_t>{121, 19});
  const auto& values = std::get<std::vector<float>>(recording.values);
  std::vector<torch::Tensor> parameters = unpack(values, 0);
  for (torch::Tensor& p : parameters) p.requires_grad_();
  AdamW optimizer(parameters, {.lr = 4e-3, .weight_decay = 1e-2}, 1.0);
  Ema ema(parameters, 0.6);
  double parameter_error = 0, average_error = 0;
  for (std::uint32_t step = 0; step < 40; ++step) {
    const auto gradients = unpack(values, 1 + 3 * step);
    for (std::size_t i = 0; i < parameters.size(); ++i) parameters[i].mutable_grad() = gradients[i];
    optimizer.step(learning_rate(4e-3, step, 40, 5, "cosine"));
    ema.step();
    parameter_error = std::max(parameter_error, worst(parameters, unpack(values, 2 + 3 * step)));
    average_error = std::max(average_error, worst(ema.averages(), unpack(values, 3 + 3 * step)));
  }
  CHECK(parameter_error < 1e-6);
  CHECK(average_error < 1e-6);
  ema.copy_to_parameters();
  CHECK(worst(parameters, unpack(values, 120)) < 1e-6);
}

TEST_CASE("optimizer: gradients in another memory layout than their parameter are applied element by element") {
  const torch::Tensor start = torch::randn({4, 3, 2, 2});
  torch::Tensor plain = start.clone().requires_grad_();
  torch::Tensor last = start.clone().contiguous(at::MemoryFormat::ChannelsLast).detach().requires_grad_();
  const torch::Tensor gradient = torch::randn({4, 3, 2, 2});
  plain.mutable_grad() = gradient.clone();
  last.mutable_grad() = gradient.clone();
  AdamW({plain}, {}, 0).step(1e-2);
  AdamW({last}, {}, 0).step(1e-2);
  CHECK(torch::allclose(plain, last, 1e-6, 1e-7));
  CHECK_FALSE(torch::allclose(plain, start, 1e-6, 1e-7));
}

TEST_CASE("optimizer: the rate warms up linearly, then stays or falls along a half-cosine to 0") {
  CHECK(learning_rate(1.0, 0, 100, 10, "cosine") == doctest::Approx(0.1));
  CHECK(learning_rate(1.0, 9, 100, 10, "cosine") == doctest::Approx(1.0));
  CHECK(learning_rate(1.0, 10, 100, 10, "cosine") == doctest::Approx(1.0));
  CHECK(learning_rate(1.0, 55, 100, 10, "cosine") == doctest::Approx(0.5));
  CHECK(learning_rate(1.0, 99, 100, 10, "cosine") == doctest::Approx(0.5 * (1 + std::cos(M_PI * 89 / 90))));
  CHECK(learning_rate(2.0, 99, 100, 10, "constant") == 2.0);
  CHECK(learning_rate(1.0, 0, 100, 0, "cosine") == 1.0);
  CHECK_THROWS_WITH_AS((void)learning_rate(1.0, 0, 1, 0, "step"), doctest::Contains("step"), Error);
}

TEST_CASE(
    "optimizer: the released warm-up of 5,000 steps never ends within 20 epochs of 39 (methods.md 1.6.5, 12.1 G2)") {
  const std::pair<std::uint32_t, std::pair<double, double>> published[] = {
      {20, {1.56, 60.8}}, {30, {2.34, 136.8}}, {50, {3.9, 380}}};
  for (const auto& [epochs, rates] : published) {
    double sum = 0, last = 0;
    for (std::uint32_t step = 0; step < epochs * 39; ++step) {
      last = learning_rate(1e-5, step, std::max(17550U, epochs * 39), 5000, "cosine");
      sum += last / 1e-5;
    }
    CAPTURE(epochs);
    CHECK(last * 1e6 == doctest::Approx(rates.first).epsilon(2e-3));
    CHECK(sum == doctest::Approx(rates.second).epsilon(3e-3));
  }
}

TEST_CASE("optimizer: the EMA's decay starts at 0 and is bounded") {
  CHECK(ema_decay(0.995, 0) == 0);
  CHECK(ema_decay(0.995, 1) == doctest::Approx(2.0 / 11));
  CHECK(ema_decay(0.995, 1000000) == 0.995);
}
