#include "common/rgb_picture.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "common/error.hpp"
#include "common/jpeg_decode.hpp"
#include "common/png_image.hpp"

namespace guda {
namespace {

constexpr std::string_view kJpegStart = "\xff\xd8\xff", kPngStart = "\x89PNG\r\n\x1a\n";
constexpr int kWeightBits = 32 - 8 - 2;  // of a fixed-point weight: eight bits of pixel, two of head room

RgbPicture from_png(std::string_view bytes, const std::filesystem::path& file) {
  PngImage png = decode_png(bytes, file);
  if (png.channels == 3) return {png.width, png.height, std::move(png.pixels)};
  RgbPicture picture{png.width, png.height, {}};
  for (const std::uint8_t grey : png.pixels) picture.pixels.insert(picture.pixels.end(), 3, grey);
  return picture;
}

[[noreturn]] void unknown_format(const std::filesystem::path& file) {
  throw Error(file.string() + ": is neither JPEG nor PNG; convert it");
}

/// The inputs of every output along one axis.
struct Taps {
  std::vector<std::uint32_t> first;
  std::vector<std::vector<std::int32_t>> weights;
};

Taps triangle_taps(std::uint32_t from, std::uint32_t to) {
  const double scale = double(from) / to, reach = std::max(scale, 1.0);
  Taps taps;
  for (std::uint32_t i = 0; i < to; ++i) {
    const double centre = (i + 0.5) * scale;
    const auto begin = static_cast<std::uint32_t>(std::max(0.0, std::trunc(centre - reach + 0.5)));
    const auto end = static_cast<std::uint32_t>(std::min(double(from), std::trunc(centre + reach + 0.5)));
    std::vector<double> exact;
    double sum = 0;
    for (std::uint32_t x = begin; x < end; ++x) {
      exact.push_back(std::max(0.0, 1 - std::abs((x - centre + 0.5) * (1 / reach))));
      sum += exact.back();
    }
    std::vector<std::int32_t>& weights = taps.weights.emplace_back();
    for (const double weight : exact)
      weights.push_back(static_cast<std::int32_t>(0.5 + weight / sum * (1 << kWeightBits)));
    taps.first.push_back(begin);
  }
  return taps;
}

std::uint8_t rounded(std::int32_t sum) { return static_cast<std::uint8_t>(std::clamp(sum >> kWeightBits, 0, 255)); }

/// Weighted sums of `source[first * step]`, `source[(first + 1) * step]`, ...
std::uint8_t weighed(const std::uint8_t* source, std::size_t step, std::uint32_t first,
                     const std::vector<std::int32_t>& weights) {
  std::int32_t sum = 1 << (kWeightBits - 1);
  for (std::size_t k = 0; k < weights.size(); ++k) sum += source[(first + k) * step] * weights[k];
  return rounded(sum);
}

RgbPicture wider_or_narrower(const RgbPicture& picture, std::uint32_t width) {
  const Taps taps = triangle_taps(picture.width, width);
  RgbPicture out{width, picture.height, std::vector<std::uint8_t>(std::size_t{width} * picture.height * 3)};
  for (std::size_t y = 0; y < picture.height; ++y) {
    for (std::size_t x = 0; x < width; ++x) {
      for (std::size_t c = 0; c < 3; ++c)
        out.pixels[(y * width + x) * 3 + c] =
            weighed(picture.pixels.data() + y * picture.width * 3 + c, 3, taps.first[x], taps.weights[x]);
    }
  }
  return out;
}

RgbPicture taller_or_lower(const RgbPicture& picture, std::uint32_t height) {
  const Taps taps = triangle_taps(picture.height, height);
  const std::size_t row = std::size_t{picture.width} * 3;
  RgbPicture out{picture.width, height, std::vector<std::uint8_t>(row * height)};
  for (std::size_t y = 0; y < height; ++y) {
    for (std::size_t i = 0; i < row; ++i)
      out.pixels[y * row + i] = weighed(picture.pixels.data() + i, row, taps.first[y], taps.weights[y]);
  }
  return out;
}

}  // namespace

RgbPicture decode_picture(std::string_view bytes, const std::filesystem::path& file) {
  if (bytes.starts_with(kJpegStart)) return decode_jpeg(bytes, file, 1);
  if (bytes.starts_with(kPngStart)) return from_png(bytes, file);
  unknown_format(file);
}

void check_picture(std::string_view bytes, const std::filesystem::path& file) {
  if (bytes.starts_with(kJpegStart)) static_cast<void>(decode_jpeg(bytes, file, 8));
  else static_cast<void>(decode_picture(bytes, file));
}

RgbPicture resized(const RgbPicture& picture, std::uint32_t width, std::uint32_t height) {
  RgbPicture out = picture.width == width ? picture : wider_or_narrower(picture, width);
  return out.height == height ? out : taller_or_lower(out, height);
}

RgbPicture squared(const RgbPicture& picture, std::uint32_t side, bool stretch) {
  if (stretch || picture.width == picture.height) return resized(picture, side, side);
  const std::uint32_t shorter = std::min(picture.width, picture.height);
  const auto scaled = [&](std::uint32_t length) {
    return length == shorter ? side : static_cast<std::uint32_t>(std::uint64_t{side} * length / shorter);
  };
  const RgbPicture small = resized(picture, scaled(picture.width), scaled(picture.height));
  // Half a pixel goes to the even number, as Python's round() has it.
  const auto margin = [&](std::uint32_t length) {
    return static_cast<std::size_t>(std::nearbyint((length - side) / 2.0));
  };
  const std::size_t left = margin(small.width), top = margin(small.height);
  RgbPicture middle{side, side, {}};
  for (std::size_t y = top; y < top + side; ++y) {
    const auto row = small.pixels.begin() + static_cast<std::ptrdiff_t>((y * small.width + left) * 3);
    middle.pixels.insert(middle.pixels.end(), row, row + std::ptrdiff_t{3} * side);
  }
  return middle;
}

std::vector<std::uint8_t> planes_of(const RgbPicture& picture) {
  const std::size_t plane = std::size_t{picture.width} * picture.height;
  std::vector<std::uint8_t> planes(3 * plane);
  for (std::size_t i = 0; i < plane; ++i) {
    for (std::size_t c = 0; c < 3; ++c) planes[c * plane + i] = picture.pixels[i * 3 + c];
  }
  return planes;
}

}  // namespace guda
