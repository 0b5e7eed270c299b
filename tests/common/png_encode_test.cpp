#include "common/png_encode.hpp"

#include <doctest/doctest.h>
#include <png.h>

#include "common/error.hpp"

namespace {

std::vector<std::uint8_t> decoded(const std::vector<std::uint8_t>& bytes, std::uint32_t format, png_image& image) {
  image = {};
  image.version = PNG_IMAGE_VERSION;
  REQUIRE(png_image_begin_read_from_memory(&image, bytes.data(), bytes.size()) != 0);
  image.format = format;
  std::vector<std::uint8_t> pixels(PNG_IMAGE_SIZE(image));
  REQUIRE(png_image_finish_read(&image, nullptr, pixels.data(), 0, nullptr) != 0);
  return pixels;
}

}  // namespace

TEST_CASE("encode_png: libpng reads back the same grey and colour pixels") {
  for (const std::uint32_t channels : {1U, 3U}) {
    std::vector<std::uint8_t> pixels;
    for (std::uint32_t i = 0; i < 7 * 5 * channels; ++i) pixels.push_back(static_cast<std::uint8_t>(i * 37));
    png_image image;
    CHECK(decoded(guda::encode_png({7, 5, channels, pixels}), channels == 3 ? PNG_FORMAT_RGB : PNG_FORMAT_GRAY,
                  image) == pixels);
    CHECK(image.width == 7);
    CHECK(image.height == 5);
  }
}

TEST_CASE("encode_png: sizes that do not fit together are our bug") {
  const std::vector<std::uint8_t> pixels(10);
  CHECK_THROWS_AS((void)guda::encode_png({3, 3, 1, pixels}), guda::Bug);
  CHECK_THROWS_AS((void)guda::encode_png({5, 1, 2, pixels}), guda::Bug);
  CHECK_THROWS_AS((void)guda::encode_png({}), guda::Bug);
}
