#include "worker/diffusion/prediction.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "common/error.hpp"

namespace guda::worker {

Prediction prediction_from(std::string_view name) {
  if (name == "epsilon") return Prediction::epsilon;
  if (name == "v_prediction") return Prediction::v_prediction;
  if (name == "sample") return Prediction::sample;
  throw Error(fmt::format("diffusion.prediction: '{}' is not one of epsilon, v_prediction, sample", name));
}

NoiseLevels noise_levels(const jobs::NoiseSchedule& schedule, std::span<const std::uint32_t> timesteps,
                         const at::Device& device) {
  const auto n = static_cast<std::int64_t>(timesteps.size());
  const at::Tensor both = at::empty({2, n, 1, 1, 1}, at::kFloat);
  float* values = both.data_ptr<float>();
  for (std::int64_t i = 0; i < n; ++i) {
    values[i] = static_cast<float>(schedule.sqrt_alpha_bar(timesteps[i]));
    values[n + i] = static_cast<float>(schedule.sigma(timesteps[i]));
  }
  const at::Tensor there = both.to(device);
  return {.gamma = there[0], .sigma = there[1]};
}

at::Tensor add_noise(const at::Tensor& x0, const at::Tensor& eps, const NoiseLevels& levels) {
  return at::addcmul(levels.gamma * x0, levels.sigma, eps);
}

at::Tensor training_target(Prediction prediction, const at::Tensor& x0, const at::Tensor& eps,
                           const NoiseLevels& levels) {
  switch (prediction) {
    case Prediction::epsilon:
      return eps;
    case Prediction::v_prediction:
      return levels.gamma * eps - levels.sigma * x0;
    case Prediction::sample:
      return x0;
  }
  throw Bug("training_target: unknown prediction type");
}

at::Tensor to_eps(Prediction prediction, const at::Tensor& output, const at::Tensor& x_t, const NoiseLevels& levels) {
  switch (prediction) {
    case Prediction::epsilon:
      return output;
    case Prediction::v_prediction:
      return levels.gamma * output + levels.sigma * x_t;
    case Prediction::sample:
      return (x_t - levels.gamma * output) / levels.sigma;
  }
  throw Bug("to_eps: unknown prediction type");
}

at::Tensor to_x0(Prediction prediction, const at::Tensor& output, const at::Tensor& x_t, const NoiseLevels& levels) {
  switch (prediction) {
    case Prediction::epsilon:
      return (x_t - levels.sigma * output) / levels.gamma;
    case Prediction::v_prediction:
      return levels.gamma * x_t - levels.sigma * output;
    case Prediction::sample:
      return output;
  }
  throw Bug("to_x0: unknown prediction type");
}

}  // namespace guda::worker
