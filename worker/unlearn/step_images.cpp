#include "worker/unlearn/step_images.hpp"

#include <algorithm>
#include <utility>

namespace guda::worker {

StepImages noised_images(const SeedPath& seed, std::uint64_t step, std::vector<std::uint32_t> items,
                         std::vector<bool> flips, const Examples& examples, const jobs::NoiseSchedule& schedule) {
  StepImages half;
  half.items = std::move(items);
  half.flips = std::move(flips);
  half.latent_noise = examples.latent_noise(half.items.size(), seed, step);
  const torch::Tensor x0 = examples.clean(half.items, half.flips, half.latent_noise);
  half.timesteps =
      draw_timesteps(seed / "timestep", step, static_cast<std::uint32_t>(half.items.size()), schedule.timesteps(),
                     /*stratified=*/true);
  half.noise = draw_noise(seed / "noise", step, x0.sizes(), x0.device());
  half.x_t = add_noise(x0, half.noise, noise_levels(schedule, half.timesteps, x0.device()));
  half.context = examples.context(half.items);
  return half;
}

StepImages draw_step_images(const SeedPath& seed, std::uint64_t step, std::uint32_t rows, bool flip, ItemStream& stream,
                            const Examples& examples, const jobs::NoiseSchedule& schedule) {
  return noised_images(seed, step, stream.batch(step, rows),
                       flip ? draw_flips(seed / "flip", step, rows) : std::vector<bool>{}, examples, schedule);
}

StepImages rows_of(const StepImages& images, const BatchShare& rows) {
  const auto cut = [&](const auto& all) {
    const auto first = all.begin() + std::min<std::ptrdiff_t>(rows.first, std::ssize(all));
    return std::decay_t<decltype(all)>(first, first + std::min<std::ptrdiff_t>(rows.count, all.end() - first));
  };
  const auto cut_rows = [&](const torch::Tensor& all) { return all.defined() ? rows.of(all) : all; };
  return {cut(images.items),
          cut(images.timesteps),
          cut(images.flips),
          rows.of(images.noise),
          rows.of(images.x_t),
          cut_rows(images.context),
          cut_rows(images.latent_noise)};
}

StepImages joined(const StepImages& first, const StepImages& more) {
  const auto chained = [](auto both, const auto& after) {
    both.insert(both.end(), after.begin(), after.end());
    return both;
  };
  return {chained(first.items, more.items),
          chained(first.timesteps, more.timesteps),
          chained(first.flips, more.flips),
          torch::cat({first.noise, more.noise}),
          torch::cat({first.x_t, more.x_t}),
          first.context.defined() ? torch::cat({first.context, more.context}) : torch::Tensor()};
}

torch::Tensor predict_noise(const Denoiser& model, Prediction prediction, const jobs::NoiseSchedule& schedule,
                            const StepImages& rows, torch::Device device) {
  const torch::Tensor x_t = rows.x_t.to(device);
  const Condition told{rows.context.defined() ? rows.context.to(device) : torch::Tensor(), {}};
  const torch::Tensor output = model(x_t, to_tensor(rows.timesteps).to(device), told);
  return to_eps(prediction, output, x_t, noise_levels(schedule, rows.timesteps, device)).flatten(1);
}

}  // namespace guda::worker
