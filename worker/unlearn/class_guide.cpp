#include "worker/unlearn/class_guide.hpp"

#include <string>
#include <vector>

#include "worker/training/class_labels.hpp"

namespace guda::worker {

Guidance guidance_of(UNet2DCondition guide, Prediction prediction, const jobs::NoiseSchedule& schedule,
                     const StepImages& rows, const jobs::Dataset& dataset, torch::Device device) {
  const torch::NoGradGuard no_grad;
  const torch::Tensor x_t = rows.x_t.to(device), t = to_tensor(rows.timesteps).to(device);
  const torch::Tensor labels =
      torch::cat({no_class_rows(dataset, rows.items.size()), class_rows(dataset, rows.items)}).to(device);
  const std::vector<torch::Tensor> output =
      guide->forward(torch::cat({x_t, x_t}), torch::cat({t, t}), torch::Tensor(), labels).chunk(2);
  const NoiseLevels levels = noise_levels(schedule, rows.timesteps, device);
  return {to_eps(prediction, output[0], x_t, levels).flatten(1), to_eps(prediction, output[1], x_t, levels).flatten(1)};
}

Guidance guidance_by_captions(const Denoiser& model, Prediction prediction, const jobs::NoiseSchedule& schedule,
                              const StepImages& rows, const Examples& examples, torch::Device device) {
  const torch::NoGradGuard no_grad;
  StepImages untold = rows;
  untold.context = examples.texts().embeddings(std::vector<std::string>(rows.items.size()));
  const std::vector<torch::Tensor> said =
      predict_noise(model, prediction, schedule, joined(untold, rows), device).chunk(2);
  return {said[0], said[1]};
}

}  // namespace guda::worker
