#include "common/png_encode.hpp"

#include <fmt/format.h>
#include <png.h>

#include <string>

#include "common/error.hpp"

namespace guda {

std::vector<std::uint8_t> encode_png(const PngPixels& picture) {
  const std::size_t expected = std::size_t{picture.width} * picture.height * picture.channels;
  if (expected == 0 || (picture.channels != 1 && picture.channels != 3) || picture.pixels.size() != expected)
    throw Bug(fmt::format("encode_png: {} bytes for a picture of {} x {} with {} channels", picture.pixels.size(),
                          picture.width, picture.height, picture.channels));
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = picture.width;
  image.height = picture.height;
  image.format = picture.channels == 3 ? PNG_FORMAT_RGB : PNG_FORMAT_GRAY;
  std::vector<std::uint8_t> bytes(PNG_IMAGE_PNG_SIZE_MAX(image));
  png_alloc_size_t size = bytes.size();
  if (png_image_write_to_memory(&image, bytes.data(), &size, 0, picture.pixels.data(), 0, nullptr) == 0)
    throw Bug(std::string("encode_png: libpng says ") + image.message);
  bytes.resize(size);
  return bytes;
}

}  // namespace guda
