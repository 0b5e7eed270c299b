#include "worker/training/examples.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "common/error.hpp"
#include "common/random.hpp"
#include "worker/device/gpu_ops.hpp"
#include "worker/training/images.hpp"
#include "worker/training/streams.hpp"

namespace guda::worker {

Examples::Examples(const jobs::Dataset& dataset, std::shared_ptr<const LatentTable> latents,
                   std::shared_ptr<const TextTable> texts)
    : dataset_(dataset), latents_(std::move(latents)), texts_(std::move(texts)) {
  if (latents_ == nullptr) return;
  if (latents_->mean.size(0) != static_cast<std::int64_t>(dataset.train.size()))
    throw Error(fmt::format("{} latents for {} training images", latents_->mean.size(0), dataset.train.size()));
  for (std::size_t i = 0; i < dataset.train.size(); ++i) position_[dataset.train[i]] = static_cast<std::int64_t>(i);
}

torch::Tensor Examples::latent_noise(std::size_t rows, const SeedPath& seed, std::uint64_t step) const {
  if (latents_ == nullptr) return {};
  std::vector<std::int64_t> shape = latents_->mean.sizes().vec();
  shape[0] = static_cast<std::int64_t>(rows);
  return draw_noise(seed / "latent", step, shape, device_);
}

void Examples::move_to(torch::Device device) {
  device_ = device;
  if (device.is_cpu()) return;
  if (latents_ != nullptr) {
    latents_ = std::make_shared<const LatentTable>(table_on(*latents_, device));
  } else if (!dataset_.pixels.empty()) {  // pictures of a folder are read as they are wanted
    const auto [channels, height, width] = dataset_.shape;
    const auto items = static_cast<std::int64_t>(dataset_.pixels.size() / dataset_.image_size());
    auto* const bytes = const_cast<std::uint8_t*>(dataset_.pixels.data());  // from_blob only reads
    resident_ = torch::from_blob(bytes, {items, channels, height, width}, torch::kByte).to(device);
  }
  if (texts_ != nullptr) texts_ = std::make_shared<const TextTable>(texts_->on(device));
}

torch::Tensor Examples::pixels(std::span<const std::uint32_t> items, const std::vector<bool>& flips) const {
  if (!resident_.defined()) return gather_images(dataset_, items, flips).to(device_);
  return gpu::gather_images(resident_, items, flips, pixel_values(dataset_.levels));
}

torch::Tensor Examples::clean(std::span<const std::uint32_t> items, const std::vector<bool>& flips,
                              const SeedPath& seed, std::uint64_t step) const {
  return clean(items, flips, latent_noise(items.size(), seed, step));
}

torch::Tensor Examples::clean(std::span<const std::uint32_t> items, const std::vector<bool>& flips,
                              const torch::Tensor& noise) const {
  if (latents_ == nullptr) return pixels(items, flips);
  torch::Tensor rows = torch::empty({static_cast<std::int64_t>(items.size())}, torch::kInt64);
  std::transform(items.begin(), items.end(), rows.data_ptr<std::int64_t>(),
                 [&](std::uint32_t item) { return position_.at(item); });
  rows = rows.to(device_);
  torch::Tensor mean = latents_->mean.index_select(0, rows), logvar;
  if (noise.defined()) logvar = latents_->logvar.index_select(0, rows);
  if (!flips.empty()) {
    if (!latents_->mirrored_mean.defined()) throw Bug("latents of mirrored images are missing");
    torch::Tensor turned = torch::zeros({static_cast<std::int64_t>(items.size()), 1, 1, 1}, torch::kBool);
    std::copy(flips.begin(), flips.end(), turned.data_ptr<bool>());
    turned = turned.to(device_);
    mean = torch::where(turned, latents_->mirrored_mean.index_select(0, rows), mean);
    if (noise.defined()) logvar = torch::where(turned, latents_->mirrored_logvar.index_select(0, rows), logvar);
  }
  return (noise.defined() ? mean + (logvar * 0.5).exp() * noise : mean) * latents_->scale;
}

Seen Examples::seen(std::span<const std::uint32_t> items, bool mirrors) const {
  Seen all{clean(items, {}, torch::Tensor()), context(items)};
  if (mirrors) all.mirrored = clean(items, std::vector<bool>(items.size(), true), torch::Tensor());
  return all;
}

torch::Tensor Examples::context(std::span<const std::uint32_t> items) const {
  return context(items, SeedPath(0), 0, 0);
}

torch::Tensor Examples::context(std::span<const std::uint32_t> items, const SeedPath& seed, std::uint64_t step,
                                double dropout) const {
  if (texts_ == nullptr) return {};
  const std::uint64_t key = (seed / "caption").value();
  std::vector<std::string> captions;
  for (std::size_t i = 0; i < items.size(); ++i) {
    const bool withheld = dropout > 0 && random_uniform(key, step * items.size() + i) < dropout;
    captions.push_back(withheld ? std::string() : dataset_.captions.at(items[i]));
  }
  return texts_->embeddings(captions);
}

}  // namespace guda::worker
