#include "worker/training/images.hpp"

#include <ATen/Parallel.h>

#include <algorithm>

#include "jobs/picture_dataset.hpp"
#include "worker/profile/span.hpp"

namespace guda::worker {

std::vector<float> pixel_values(std::uint32_t levels) {
  std::vector<float> value(256, 0.0F);
  for (std::uint32_t b = 0; b < levels && b < value.size(); ++b)
    value[b] = static_cast<float>(2.0 * b / (levels - 1) - 1.0);
  return value;
}

torch::Tensor gather_images(const jobs::Dataset& dataset, std::span<const std::uint32_t> items,
                            const std::vector<bool>& flips) {
  const ProfileSpan span("guda::gather_images");
  const std::vector<float> value = pixel_values(dataset.levels);
  const auto [channels, height, width] = dataset.shape;
  torch::Tensor images =
      torch::empty({static_cast<std::int64_t>(items.size()), channels, height, width}, torch::kFloat32);
  const std::uint32_t rows = channels * height, columns = width;
  const auto fill = [&](std::size_t i, const std::uint8_t* in) {
    float* const out = images.data_ptr<float>() + i * dataset.image_size();
    std::transform(in, in + dataset.image_size(), out, [&](std::uint8_t b) { return value[b]; });
    if (flips.empty() || !flips[i]) return;
    for (std::uint32_t row = 0; row < rows; ++row) std::reverse(out + row * columns, out + (row + 1) * columns);
  };
  if (dataset.files.empty()) {
    for (std::size_t i = 0; i < items.size(); ++i) fill(i, dataset.pixels.data() + items[i] * dataset.image_size());
    return images;
  }
  at::parallel_for(0, static_cast<std::int64_t>(items.size()), 1, [&](std::int64_t begin, std::int64_t end) {
    for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i)
      fill(i, jobs::picture_pixels(dataset, items[i]).data());
  });
  return images;
}

}  // namespace guda::worker
