#pragma once
// Training examples as a model takes them: pixels or latents, with or without what their captions say.
#include <torch/torch.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/digest.hpp"
#include "jobs/dataset.hpp"
#include "worker/diffusion/text_table.hpp"
#include "worker/training/latent_table.hpp"

namespace guda::worker {

/// Images as a model takes them, float32.
struct Seen {
  Seen() = default;
  Seen(torch::Tensor images, torch::Tensor told = {})  // NOLINT(google-explicit-constructor)
      : x0(std::move(images)), contexts(std::move(told)) {}
  torch::Tensor x0;        ///< [N, C, H, W]
  torch::Tensor contexts;  ///< [N, L, W] embeddings of their texts; undefined without
  torch::Tensor mirrored;  ///< x0 of the mirrored images; undefined: x0 are pixels, mirrored by turning them round
};

/// Refers to the data set, which must outlive it. Any thread, once it is where it belongs.
class Examples {
 public:
  /// Pixels, without captions.
  Examples(const jobs::Dataset& dataset) : dataset_(dataset) {}  // NOLINT(google-explicit-constructor)
  /// Either may be empty. Throws Error when there are not as many latents as training items.
  Examples(const jobs::Dataset& dataset, std::shared_ptr<const LatentTable> latents,
           std::shared_ptr<const TextTable> texts);

  /// Keeps images (as bytes), latents and embeddings on the device from here on: what is asked for is made there.
  void move_to(torch::Device device);
  [[nodiscard]] torch::Device device() const { return device_; }

  [[nodiscard]] const jobs::Dataset& dataset() const { return dataset_; }
  [[nodiscard]] bool has_captions() const { return texts_ != nullptr; }
  [[nodiscard]] const TextTable& texts() const { return *texts_; }
  /// nullptr: the model works on pixels.
  [[nodiscard]] const std::shared_ptr<const LatentTable>& latents() const { return latents_; }

  /// Pixels of any items, float32 [items, C, H, W] on the device, x = 2 b/(levels-1) - 1; `flips` as below.
  [[nodiscard]] torch::Tensor pixels(std::span<const std::uint32_t> items, const std::vector<bool>& flips = {}) const;
  /// x_0 of training items, float32 [items, C, H, W] on the device: pixels, or scale (mean + exp(logvar / 2) noise)
  /// with the noise of batch number `step`. `flips`: empty or one per item.
  [[nodiscard]] torch::Tensor clean(std::span<const std::uint32_t> items, const std::vector<bool>& flips,
                                    const SeedPath& seed, std::uint64_t step) const;
  /// The noise of batch number `step` that latents are drawn with, [rows, C, H, W]; undefined for pixels.
  [[nodiscard]] torch::Tensor latent_noise(std::size_t rows, const SeedPath& seed, std::uint64_t step) const;
  /// The same with given noise, one row for each item; undefined noise: the means.
  [[nodiscard]] torch::Tensor clean(std::span<const std::uint32_t> items, const std::vector<bool>& flips,
                                    const torch::Tensor& noise) const;
  /// Pixels, or the scaled means of latents: what is looked at where nothing is drawn. With all of them mirrored in
  /// Seen::mirrored where `mirrors` says so.
  [[nodiscard]] Seen seen(std::span<const std::uint32_t> items, bool mirrors = false) const;
  /// Embeddings of the items' captions [items, L, W]; undefined without captions. Each is replaced by that of the empty
  /// text with probability `dropout`: a function of the seed, the step and the row.
  [[nodiscard]] torch::Tensor context(std::span<const std::uint32_t> items) const;
  [[nodiscard]] torch::Tensor context(std::span<const std::uint32_t> items, const SeedPath& seed, std::uint64_t step,
                                      double dropout) const;

 private:
  const jobs::Dataset& dataset_;
  torch::Device device_ = torch::kCPU;
  torch::Tensor resident_;  ///< uint8 [all items, C, H, W] on a GPU; undefined: in the data set
  std::shared_ptr<const LatentTable> latents_;
  std::shared_ptr<const TextTable> texts_;
  std::unordered_map<std::uint32_t, std::int64_t> position_;  ///< of an item in the training split
};

}  // namespace guda::worker
