#pragma once
// Anti-aliased glyphs that are part of the program: pictures with text need no font on the machine.
#include <cstdint>
#include <span>
#include <string_view>

namespace guda::orchestrator::report {

struct Glyph {
  std::uint32_t code;      ///< Unicode code point
  std::int16_t advance;    ///< all in pixels
  std::int16_t left, top;  ///< of the coverage: from the pen to the right, from the baseline upwards
  std::int16_t width, height;
  std::uint32_t offset;  ///< of its coverage in Font::cover
};

struct Font {
  int size;                       ///< pixels per em
  std::span<const Glyph> glyphs;  ///< ascending code: printable ASCII and a few signs
  std::string_view cover;         ///< one hex digit per pixel: 0 = empty, f = full; row by row
};

extern const Font kRegularFont, kBoldFont;

}  // namespace guda::orchestrator::report
