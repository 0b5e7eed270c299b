#include "worker/training/streams.hpp"

#include <algorithm>

#include "common/error.hpp"
#include "common/random.hpp"
#include "worker/device/gpu_ops.hpp"
#include "worker/diffusion/noise.hpp"
#include "worker/profile/span.hpp"

namespace guda::worker {

ItemStream::ItemStream(const SeedPath& seed, std::vector<std::uint32_t> items, std::span<const std::uint32_t> excluded)
    : items_(std::move(items)),
      excluded_(items_.size(), 0),
      order_seed_((seed / "order").value()),
      replacement_seed_((seed / "replacement").value()) {
  for (std::size_t i = 0; i < items_.size(); ++i) {
    excluded_[i] = std::binary_search(excluded.begin(), excluded.end(), items_[i]) ? 1 : 0;
  }
  if (std::count(excluded_.begin(), excluded_.end(), 0) == 0) {
    throw Error("no training item is left after the removal; remove less");
  }
}

std::uint32_t ItemStream::item(std::uint64_t position) {
  const std::uint64_t n = items_.size();
  if (position / n != epoch_) {
    epoch_ = position / n;
    order_ = random_permutation(static_cast<std::uint32_t>(n), random_bits(order_seed_, epoch_));
  }
  std::uint64_t index = order_[position % n];
  // Rejection from the whole set, not a draw from the retained one: two groups then share their replacements too.
  const std::uint64_t seed = random_bits(replacement_seed_, position);
  for (std::uint64_t counter = 0; excluded_[index] != 0;) index = random_below(seed, counter, n);
  return items_[index];
}

std::vector<std::uint32_t> ItemStream::batch(std::uint64_t step, std::uint32_t size) {
  std::vector<std::uint32_t> items(size);
  for (std::uint32_t i = 0; i < size; ++i) items[i] = item(step * size + i);
  return items;
}

std::vector<std::uint32_t> draw_timesteps(const SeedPath& seed, std::uint64_t step, std::uint32_t rows,
                                          std::uint32_t timesteps, bool stratified) {
  const std::uint64_t key = seed.value();
  std::vector<std::uint32_t> t(rows);
  for (std::uint32_t row = 0; row < rows; ++row) {
    const double u = random_uniform(key, step * rows + row);
    const double place = stratified ? (row + u) / rows : u;
    t[row] = std::min(static_cast<std::uint32_t>(place * timesteps), timesteps - 1);
  }
  return t;
}

torch::Tensor to_tensor(std::span<const std::uint32_t> timesteps) {
  torch::Tensor t = torch::empty({static_cast<std::int64_t>(timesteps.size())}, torch::kInt64);
  std::copy(timesteps.begin(), timesteps.end(), t.data_ptr<std::int64_t>());
  return t;
}

torch::Tensor draw_noise(const SeedPath& seed, std::uint64_t step, at::IntArrayRef shape, torch::Device device) {
  const ProfileSpan span("guda::noise");
  if (device.is_cuda()) return gpu::normal(seed.value(), step, 0, 0, shape, device);
  torch::Tensor noise = torch::empty(shape, torch::kFloat32);
  fill_normal(seed.value(), step, 0, 0, {noise.data_ptr<float>(), static_cast<std::size_t>(noise.numel())});
  return noise;
}

std::vector<bool> draw_flips(const SeedPath& seed, std::uint64_t step, std::uint32_t rows) {
  const std::uint64_t key = seed.value();
  std::vector<bool> flips(rows);
  for (std::uint32_t row = 0; row < rows; ++row) flips[row] = random_bits(key, step * rows + row) >> 63 != 0;
  return flips;
}

}  // namespace guda::worker
