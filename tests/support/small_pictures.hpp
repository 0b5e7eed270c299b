#pragma once
// Folders of pictures for tests: JPEG and PNG files in the layout of UnlearnCanvas, each style with its own tint.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>
// clang-format off
#include <jpeglib.h>  // wants FILE
// clang-format on

#include "common/files.hpp"
#include "common/json.hpp"
#include "common/png_image.hpp"
#include "common/random.hpp"
#include "common/rgb_picture.hpp"

namespace guda::test {

inline RgbPicture tinted_picture(std::uint32_t width, std::uint32_t height, std::uint64_t style, std::uint64_t seed) {
  RgbPicture picture{width, height, {}};
  const double base[3] = {70.0 + 60 * double(style % 3), 70.0 + 60 * double(style / 3 % 3), 120};
  const std::uint64_t bar = random_bits(seed, 0) % width;
  for (std::uint64_t y = 0; y < height; ++y) {
    for (std::uint64_t x = 0; x < width; ++x) {
      for (std::uint64_t c = 0; c < 3; ++c) {
        const double noise = double(random_bits(seed, 1 + (y * width + x) * 3 + c) % 21);
        picture.pixels.push_back(static_cast<std::uint8_t>(base[c] + noise + (x / 4 == bar / 4 ? 40 : 0)));
      }
    }
  }
  return picture;
}

inline std::string jpeg_of(const RgbPicture& picture) {
  jpeg_compress_struct codec{};
  jpeg_error_mgr errors{};
  codec.err = jpeg_std_error(&errors);
  jpeg_create_compress(&codec);
  unsigned char* bytes = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&codec, &bytes, &size);
  codec.image_width = picture.width;
  codec.image_height = picture.height;
  codec.input_components = 3;
  codec.in_color_space = JCS_RGB;
  jpeg_set_defaults(&codec);
  jpeg_start_compress(&codec, TRUE);
  while (codec.next_scanline < codec.image_height) {
    auto* row = const_cast<std::uint8_t*>(picture.pixels.data()) + std::size_t{codec.next_scanline} * picture.width * 3;
    jpeg_write_scanlines(&codec, &row, 1);
  }
  jpeg_finish_compress(&codec);
  jpeg_destroy_compress(&codec);
  std::string text(reinterpret_cast<const char*>(bytes), size);
  std::free(bytes);
  return text;
}

inline std::string png_of(const RgbPicture& picture) {
  return encode_png({picture.width, picture.height, 3, picture.pixels});
}

struct SmallCanvas {
  std::vector<std::string> styles{"Artist_Sketch", "Cubism", "Monet"};
  std::vector<std::string> objects{"Cats", "Sea"};
  std::uint32_t pictures = 4;  ///< of each object in each style
  std::uint32_t side = 24;
};

/// STYLE/OBJECT/ID.jpg, every fourth a PNG; descriptors.json with five words for each style, some of them shared;
/// eval.jsonl with a prompt for every style and object; Seed_Images, which is no style.
inline void write_canvas(const std::filesystem::path& folder, const SmallCanvas& canvas = {}) {
  Json descriptors = Json::object();
  std::string prompts;
  std::uint64_t seed = 1;
  for (std::size_t s = 0; s < canvas.styles.size(); ++s) {
    const std::string& style = canvas.styles[s];
    descriptors[style] = {"shared strokes", style + " one", style + " two", style + " three", style + " four"};
    for (const std::string& object : canvas.objects) {
      std::filesystem::create_directories(folder / style / object);
      prompts +=
          Json{{"style", style},
               {"object", object},
               {"prompt", "An artwork of " + object + ", with " + style + " two, shared strokes, " + style + " one"}}
              .dump() +
          "\n";
      for (std::uint32_t id = 1; id <= canvas.pictures; ++id) {
        const RgbPicture picture = tinted_picture(canvas.side, canvas.side, s, ++seed);
        const bool png = id % 4 == 0;
        replace_file(folder / style / object / (std::to_string(id) + (png ? ".png" : ".jpg")),
                     png ? png_of(picture) : jpeg_of(picture), false);
      }
    }
  }
  std::filesystem::create_directories(folder / "Seed_Images" / "Cats");
  replace_file(folder / "Seed_Images" / "Cats" / "1.jpg", "no picture", false);
  replace_file(folder / "descriptors.json", descriptors.dump(1), false);
  replace_file(folder / "eval.jsonl", prompts, false);
}

/// A cache of one's own, gone with the test.
class OwnPictureCache {
 public:
  explicit OwnPictureCache(const std::filesystem::path& folder) { ::setenv("GUDA_CACHE", folder.c_str(), 1); }
  OwnPictureCache(const OwnPictureCache&) = delete;
  OwnPictureCache& operator=(const OwnPictureCache&) = delete;
  ~OwnPictureCache() { ::unsetenv("GUDA_CACHE"); }
};

}  // namespace guda::test
