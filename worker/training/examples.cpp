#include "worker/training/examples.hpp"

#include <fmt/format.h>

#include "common/error.hpp"
#include "common/random.hpp"
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

torch::Tensor Examples::clean(std::span<const std::uint32_t> items, const std::vector<bool>& flips,
                              const SeedPath& seed, std::uint64_t step) const {
  if (latents_ == nullptr) return gather_images(dataset_, items, flips);
  torch::Tensor rows = torch::empty({static_cast<std::int64_t>(items.size())}, torch::kInt64);
  for (std::size_t i = 0; i < items.size(); ++i) rows[static_cast<std::int64_t>(i)] = position_.at(items[i]);
  torch::Tensor mean = latents_->mean.index_select(0, rows), logvar = latents_->logvar.index_select(0, rows);
  if (!flips.empty()) {
    if (!latents_->mirrored_mean.defined()) throw Bug("latents of mirrored images are missing");
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (!flips[i]) continue;
      const auto row = static_cast<std::int64_t>(i), at = position_.at(items[i]);
      mean[row].copy_(latents_->mirrored_mean[at]);
      logvar[row].copy_(latents_->mirrored_logvar[at]);
    }
  }
  return (mean + (logvar * 0.5).exp() * draw_noise(seed / "latent", step, mean.sizes())) * latents_->scale;
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
