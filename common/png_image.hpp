#pragma once
// 8-bit grey and RGB pictures as PNG files.
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace guda {

struct PngImage {
  std::uint32_t width = 0, height = 0;
  std::uint32_t channels = 1;        ///< 1 = grey, 3 = RGB
  std::vector<std::uint8_t> pixels;  ///< [row, column, channel]
};

/// Largest picture that is read, in pixels; a file that declares more is refused before anything is allocated.
inline constexpr std::uint64_t kMaxPngPixels = std::uint64_t{1} << 26;

/// Palettes become RGB. Throws IoError when the file can't be read, Error naming it when it is damaged, too large,
/// has 16 bits a channel or transparency: what the pixels mean is then for the user to say.
[[nodiscard]] PngImage read_png(const std::filesystem::path& file);
/// The same of a file's bytes.
[[nodiscard]] PngImage decode_png(std::string_view bytes, const std::filesystem::path& path);

/// The bytes of a PNG file. Throws Bug when size and pixels do not fit.
[[nodiscard]] std::string encode_png(const PngImage& image);

}  // namespace guda
