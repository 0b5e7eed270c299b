#include "worker/attribution/item_losses.hpp"

#include <algorithm>
#include <cmath>
#include <set>
#include <string>

#include "common/digest.hpp"
#include "common/random.hpp"
#include "jobs/noise_schedule.hpp"
#include "worker/diffusion/noise.hpp"
#include "worker/unlearn/step_images.hpp"

namespace guda::worker {
namespace {

constexpr std::size_t kRows = 256;

}  // namespace

GroupSample sample_groups(std::span<const jobs::RemovalSet> groups, std::uint32_t per_group, std::uint64_t seed) {
  std::vector<std::vector<std::uint32_t>> chosen;
  std::set<std::uint32_t> distinct;
  GroupSample sample;
  for (const jobs::RemovalSet& group : groups) {
    std::vector<std::uint32_t> items = group.items;
    sample.sizes.push_back(items.size());
    if (per_group > 0 && items.size() > per_group) {
      const auto order = random_permutation(static_cast<std::uint32_t>(items.size()),
                                            (SeedPath(seed) / "items" / group.label).value());
      for (std::uint32_t i = 0; i < per_group; ++i) items[i] = group.items[order[i]];
      items.resize(per_group);
      std::sort(items.begin(), items.end());
    }
    distinct.insert(items.begin(), items.end());
    chosen.push_back(std::move(items));
  }
  sample.items.assign(distinct.begin(), distinct.end());
  for (const auto& items : chosen) {
    std::vector<std::int64_t> places;
    for (const std::uint32_t item : items)
      places.push_back(std::lower_bound(sample.items.begin(), sample.items.end(), item) - sample.items.begin());
    sample.members.push_back(std::move(places));
  }
  return sample;
}

GroupMeans group_means(const torch::Tensor& values, const GroupSample& sample) {
  const torch::Tensor flat = values.to(torch::kCPU, torch::kFloat64).contiguous();
  const double* const value = flat.data_ptr<double>();
  GroupMeans result;
  for (std::size_t g = 0; g < sample.members.size(); ++g) {
    const auto& members = sample.members[g];
    const auto m = static_cast<double>(members.size()), n = static_cast<double>(sample.sizes[g]);
    double sum = 0, squares = 0;
    for (const std::int64_t i : members) sum += value[i];
    const double mean = m > 0 ? sum / m : 0;
    for (const std::int64_t i : members) squares += (value[i] - mean) * (value[i] - mean);
    result.mean.push_back(mean);
    result.standard_error.push_back(m > 1 && m < n ? std::sqrt(squares / (m - 1) / m * (1 - m / n)) : 0);
  }
  return result;
}

ItemLosses::ItemLosses(torch::Tensor images, std::vector<std::uint64_t> ids, std::vector<std::uint32_t> timesteps,
                       bool shared, const jobs::DiffusionConfig& diffusion, std::uint64_t seed, torch::Device device,
                       Contexts contexts)
    : images_(std::move(images)),
      ids_(std::move(ids)),
      timesteps_(std::move(timesteps)),
      shared_(shared),
      diffusion_(diffusion),
      seed_(seed),
      device_(device),
      contexts_(std::move(contexts)) {}

torch::Tensor ItemLosses::of(const Denoiser& model, const std::function<void()>& poll) const {
  const torch::NoGradGuard no_grad;
  const jobs::NoiseSchedule schedule(diffusion_);
  const Prediction prediction = prediction_from(diffusion_.prediction);
  const std::size_t rows = ids_.size() * timesteps_.size();
  const auto size = static_cast<std::size_t>(images_[0].numel());
  torch::Tensor losses = torch::empty({static_cast<std::int64_t>(rows)}, torch::kFloat64);
  for (std::size_t first = 0; first < rows; first += kRows) {
    const std::size_t count = std::min(kRows, rows - first);
    StepImages step;
    std::vector<std::int64_t> which;
    step.noise = torch::empty({static_cast<std::int64_t>(count), images_.size(1), images_.size(2), images_.size(3)});
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t item = (first + i) / timesteps_.size(), t = (first + i) % timesteps_.size();
      which.push_back(static_cast<std::int64_t>(item));
      step.timesteps.push_back(timesteps_[t]);
      fill_normal(seed_, shared_ ? 0 : ids_[item], timesteps_[t], 0, {step.noise.data_ptr<float>() + i * size, size});
    }
    step.x_t = add_noise(images_.index_select(0, torch::tensor(which, torch::kInt64)), step.noise,
                         noise_levels(schedule, step.timesteps));
    if (contexts_) step.context = contexts_(which);
    const torch::Tensor target = step.noise.flatten(1).to(device_);
    losses.narrow(0, static_cast<std::int64_t>(first), static_cast<std::int64_t>(count))
        .copy_((predict_noise(model, prediction, schedule, step, device_) - target).square().mean(1));
    if (poll) poll();
  }
  return losses.view({static_cast<std::int64_t>(ids_.size()), static_cast<std::int64_t>(timesteps_.size())});
}

}  // namespace guda::worker
