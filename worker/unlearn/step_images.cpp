#include "worker/unlearn/step_images.hpp"

#include <algorithm>
#include <utility>

#include "worker/training/images.hpp"

namespace guda::worker {

StepImages noised_images(const SeedPath& seed, std::uint64_t step, std::vector<std::uint32_t> items,
                         std::vector<bool> flips, const jobs::Dataset& dataset, const jobs::NoiseSchedule& schedule) {
  StepImages half;
  half.items = std::move(items);
  half.flips = std::move(flips);
  const torch::Tensor x0 = gather_images(dataset, half.items, half.flips);
  half.timesteps =
      draw_timesteps(seed / "timestep", step, static_cast<std::uint32_t>(half.items.size()), schedule.timesteps(),
                     /*stratified=*/true);
  half.noise = draw_noise(seed / "noise", step, x0.sizes());
  half.x_t = add_noise(x0, half.noise, noise_levels(schedule, half.timesteps));
  return half;
}

StepImages draw_step_images(const SeedPath& seed, std::uint64_t step, std::uint32_t rows, bool flip, ItemStream& stream,
                            const jobs::Dataset& dataset, const jobs::NoiseSchedule& schedule) {
  return noised_images(seed, step, stream.batch(step, rows),
                       flip ? draw_flips(seed / "flip", step, rows) : std::vector<bool>{}, dataset, schedule);
}

StepImages rows_of(const StepImages& images, const BatchShare& rows) {
  const auto cut = [&](const auto& all) {
    const auto first = all.begin() + std::min<std::ptrdiff_t>(rows.first, std::ssize(all));
    return std::decay_t<decltype(all)>(first, first + std::min<std::ptrdiff_t>(rows.count, all.end() - first));
  };
  return {cut(images.items), cut(images.timesteps), cut(images.flips), rows.of(images.noise), rows.of(images.x_t)};
}

torch::Tensor predict_noise(UNet2D model, Prediction prediction, const jobs::NoiseSchedule& schedule,
                            const StepImages& rows, torch::Device device) {
  const torch::Tensor x_t = rows.x_t.to(device);
  const torch::Tensor output = model->forward(x_t, to_tensor(rows.timesteps).to(device));
  return to_eps(prediction, output, x_t, noise_levels(schedule, rows.timesteps, device)).flatten(1);
}

}  // namespace guda::worker
