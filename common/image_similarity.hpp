#pragma once
// How alike two pictures are. Pure; any thread.
#include <cstdint>
#include <span>

namespace guda {

/// Shape of a picture, channel by channel, row by row.
struct PictureShape {
  std::uint32_t channels = 0, height = 0, width = 0;
  [[nodiscard]] std::size_t size() const noexcept { return std::size_t{channels} * height * width; }
};

/// Structural similarity (Wang et al. 2004) of pictures in [-1, 1]: Gaussian window of standard deviation 1.5 and side
/// 11 (smaller pictures: the largest odd side that fits), its centre wherever the window fits, K1 = 0.01, K2 = 0.03,
/// population variances; mean over places and channels. 1 for equal pictures. Both spans have shape.size() values,
/// else Bug.
[[nodiscard]] double ssim(std::span<const float> a, std::span<const float> b, const PictureShape& shape);

/// Root of the mean squared difference of the values, in [0, 2].
[[nodiscard]] double rms_difference(std::span<const float> a, std::span<const float> b);

}  // namespace guda
