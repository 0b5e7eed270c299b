#pragma once
// libjpeg behind one function, with its long jumps.
#include <filesystem>
#include <string_view>

#include "common/rgb_picture.hpp"

namespace guda {

/// RGB pixels of a JPEG at 1/`reduction` of its size (1 or 8). Errors as decode_picture()'s.
[[nodiscard]] RgbPicture decode_jpeg(std::string_view bytes, const std::filesystem::path& file, unsigned reduction);

}  // namespace guda
