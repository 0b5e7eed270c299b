#include "worker/training/images.hpp"

#include <algorithm>
#include <array>

#include "worker/profile/span.hpp"

namespace guda::worker {

torch::Tensor gather_images(const jobs::Dataset& dataset, std::span<const std::uint32_t> items,
                            const std::vector<bool>& flips) {
  const ProfileSpan span("guda::gather_images");
  std::array<float, 256> value{};
  for (std::uint32_t b = 0; b < dataset.levels && b < value.size(); ++b) {
    value[b] = static_cast<float>(2.0 * b / (dataset.levels - 1) - 1.0);
  }
  const auto [channels, height, width] = dataset.shape;
  torch::Tensor images =
      torch::empty({static_cast<std::int64_t>(items.size()), channels, height, width}, torch::kFloat32);
  float* out = images.data_ptr<float>();
  for (std::size_t i = 0; i < items.size(); ++i) {
    const std::uint8_t* in = dataset.pixels.data() + items[i] * dataset.image_size();
    std::transform(in, in + dataset.image_size(), out, [&](std::uint8_t b) { return value[b]; });
    if (!flips.empty() && flips[i]) {
      for (std::uint32_t row = 0; row < channels * height; ++row)
        std::reverse(out + row * width, out + (row + 1) * width);
    }
    out += dataset.image_size();
  }
  return images;
}

}  // namespace guda::worker
