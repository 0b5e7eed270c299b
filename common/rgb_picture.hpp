#pragma once
// Pictures as people have them: JPEG and PNG files as 8-bit RGB, brought to the size of a data set.
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace guda {

struct RgbPicture {
  std::uint32_t width = 0, height = 0;
  std::vector<std::uint8_t> pixels;  ///< [row, column, channel]
};

/// Decodes the bytes of a JPEG (libjpeg's slow integer transform, smooth chroma upsampling: the same bits in every
/// build of one version of the library) or a PNG file; what it is is read from its first bytes. Grey becomes RGB. The
/// camera's orientation tag is ignored. `file` is named in errors. Throws Error saying what is wrong: damaged or cut
/// off, more than kMaxPngPixels, CMYK, 16 bits a channel, transparency, another format.
[[nodiscard]] RgbPicture decode_picture(std::string_view bytes, const std::filesystem::path& file);

/// Throws as decode_picture() would. Of a JPEG it reads every bit, and computes an eighth of the pixels a side.
void check_picture(std::string_view bytes, const std::filesystem::path& file);

/// Scaled by a triangle filter that grows with the reduction (antialiasing), rows first, in integers: the same bits as
/// Pillow's Image.resize(.., BILINEAR), first along rows, then along columns (some versions of Pillow choose the
/// order).
[[nodiscard]] RgbPicture resized(const RgbPicture& picture, std::uint32_t width, std::uint32_t height);

/// The shorter side becomes `side` and the middle is cut out, as torchvision's Resize and CenterCrop do; `stretch`:
/// both sides become `side`.
[[nodiscard]] RgbPicture squared(const RgbPicture& picture, std::uint32_t side, bool stretch);

/// As a data set keeps it: [channel, row, column].
[[nodiscard]] std::vector<std::uint8_t> planes_of(const RgbPicture& picture);

}  // namespace guda
