#include "common/png_image.hpp"

#include <fmt/format.h>
#include <png.h>

#include "common/error.hpp"
#include "common/files.hpp"

namespace guda {
namespace {

/// libpng's simplified interface with its release.
struct Codec {
  png_image image{};
  Codec() { image.version = PNG_IMAGE_VERSION; }
  Codec(const Codec&) = delete;
  Codec& operator=(const Codec&) = delete;
  ~Codec() { png_image_free(&image); }
};

}  // namespace

PngImage read_png(const std::filesystem::path& path) { return decode_png(read_file(path), path); }

PngImage decode_png(std::string_view bytes, const std::filesystem::path& path) {
  const std::string file = path.string();
  Codec codec;
  if (png_image_begin_read_from_memory(&codec.image, bytes.data(), bytes.size()) == 0) {
    throw Error(fmt::format("{}: no readable PNG: {}", file, codec.image.message));
  }
  const std::uint64_t pixels = std::uint64_t{codec.image.width} * codec.image.height;
  if (pixels > kMaxPngPixels) {
    throw Error(fmt::format("{}: {} x {} pixels are more than the {} allowed", file, codec.image.width,
                            codec.image.height, kMaxPngPixels));
  }
  if ((codec.image.format & PNG_FORMAT_FLAG_LINEAR) != 0) throw Error(file + ": has 16 bits a channel; save it with 8");
  if ((codec.image.format & PNG_FORMAT_FLAG_ALPHA) != 0)
    throw Error(file + ": has transparency; flatten it onto a background");
  const bool colour = (codec.image.format & PNG_FORMAT_FLAG_COLOR) != 0;
  codec.image.format = colour ? PNG_FORMAT_RGB : PNG_FORMAT_GRAY;
  PngImage image{codec.image.width, codec.image.height, colour ? 3U : 1U, {}};
  image.pixels.resize(PNG_IMAGE_SIZE(codec.image));
  if (png_image_finish_read(&codec.image, nullptr, image.pixels.data(), 0, nullptr) == 0) {
    throw Error(fmt::format("{}: damaged PNG: {}", file, codec.image.message));
  }
  return image;
}

std::string encode_png(const PngImage& image) {
  const std::uint64_t expected = std::uint64_t{image.width} * image.height * image.channels;
  if ((image.channels != 1 && image.channels != 3) || expected == 0 || image.pixels.size() != expected) {
    throw Bug(fmt::format("a PNG of {} x {} x {} got {} bytes", image.width, image.height, image.channels,
                          image.pixels.size()));
  }
  Codec codec;
  codec.image.width = image.width;
  codec.image.height = image.height;
  codec.image.format = image.channels == 3 ? PNG_FORMAT_RGB : PNG_FORMAT_GRAY;
  png_alloc_size_t size = 0;
  std::string bytes;
  if (png_image_write_get_memory_size(codec.image, size, 0, image.pixels.data(), 0, nullptr) != 0) {
    bytes.resize(size);
    if (png_image_write_to_memory(&codec.image, bytes.data(), &size, 0, image.pixels.data(), 0, nullptr) != 0) {
      bytes.resize(size);
      return bytes;
    }
  }
  throw Error(fmt::format("cannot encode a PNG of {} x {}: {}", image.width, image.height, codec.image.message));
}

}  // namespace guda
