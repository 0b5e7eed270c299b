#include "orchestrator/report/picture.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "common/error.hpp"
#include "common/png_encode.hpp"

namespace guda::orchestrator::report {

std::vector<std::uint8_t> interleaved(const Picture& picture) {
  const std::size_t plane = std::size_t{picture.height} * picture.width;
  if (picture.levels < 2 || picture.levels > 256 || (picture.channels != 1 && picture.channels != 3) || plane == 0 ||
      picture.pixels.size() != plane * picture.channels)
    throw Bug(fmt::format("picture: {} bytes for {} x {} x {} in {} levels", picture.pixels.size(), picture.channels,
                          picture.height, picture.width, picture.levels));
  std::vector<std::uint8_t> out(picture.pixels.size());
  const std::uint32_t top = picture.levels - 1;
  for (std::size_t c = 0; c < picture.channels; ++c)
    for (std::size_t i = 0; i < plane; ++i) {
      const std::uint32_t level = std::min<std::uint32_t>(picture.pixels[c * plane + i], top);
      out[i * picture.channels + c] = static_cast<std::uint8_t>((level * 255 + top / 2) / top);
    }
  return out;
}

std::vector<std::uint8_t> png_of(const Picture& picture) {
  const std::vector<std::uint8_t> pixels = interleaved(picture);
  return encode_png({picture.width, picture.height, picture.channels, pixels});
}

}  // namespace guda::orchestrator::report
