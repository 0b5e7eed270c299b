#pragma once
// PNG bytes in memory, for data: URIs and for pictures that guda draws itself.
#include <cstdint>
#include <span>
#include <vector>

namespace guda {

/// An 8-bit picture: pixels [row, column, channel], 1 channel (grey) or 3 (RGB).
struct PngPixels {
  std::uint32_t width = 0, height = 0, channels = 1;
  std::span<const std::uint8_t> pixels;
};

/// Equal pixels give equal bytes with one libpng. Throws Bug when the sizes do not fit together.
[[nodiscard]] std::vector<std::uint8_t> encode_png(const PngPixels& picture);

}  // namespace guda
