#include "orchestrator/report/canvas.hpp"

#include <algorithm>

#include "orchestrator/report/picture.hpp"

namespace guda::orchestrator::report {
namespace {

/// Takes one code point off the front; a byte that starts none counts as U+FFFD.
std::uint32_t next_code(std::string_view& text) {
  const auto first = static_cast<std::uint8_t>(text.front());
  const std::size_t length = first < 0x80 ? 1 : first >> 5 == 6 ? 2 : first >> 4 == 14 ? 3 : first >> 3 == 30 ? 4 : 0;
  if (length == 0 || length > text.size()) {
    text.remove_prefix(1);
    return 0xFFFD;
  }
  std::uint32_t code = length == 1 ? first : first & (0x7FU >> length);
  for (std::size_t i = 1; i < length; ++i) code = code << 6 | (static_cast<std::uint8_t>(text[i]) & 0x3FU);
  text.remove_prefix(length);
  return code;
}

const Glyph& glyph_of(std::uint32_t code, const Font& font) {
  if (code == 0xA0) code = ' ';
  const auto find = [&](std::uint32_t wanted) {
    return std::lower_bound(font.glyphs.begin(), font.glyphs.end(), wanted,
                            [](const Glyph& g, std::uint32_t c) { return g.code < c; });
  };
  const auto found = find(code);
  return found != font.glyphs.end() && found->code == code ? *found : *find('?');
}

unsigned hex_value(char digit) { return static_cast<unsigned>(digit <= '9' ? digit - '0' : digit - 'a' + 10); }

}  // namespace

Canvas::Canvas(int width, int height, Colour ground)
    : width_(width), height_(height), pixels_(static_cast<std::size_t>(width) * static_cast<std::size_t>(height) * 3) {
  fill(0, 0, width, height, ground);
}

Colour Canvas::at(int x, int y) const {
  const std::uint8_t* p =
      &pixels_.at((static_cast<std::size_t>(y) * static_cast<std::size_t>(width_) + static_cast<std::size_t>(x)) * 3);
  return {p[0], p[1], p[2]};
}

void Canvas::blend(int x, int y, Colour colour, unsigned fifteenths) {
  if (x < 0 || y < 0 || x >= width_ || y >= height_) return;
  std::uint8_t* p =
      &pixels_[(static_cast<std::size_t>(y) * static_cast<std::size_t>(width_) + static_cast<std::size_t>(x)) * 3];
  const auto mix = [&](std::uint8_t below, std::uint8_t above) {
    return static_cast<std::uint8_t>((below * (15 - fifteenths) + above * fifteenths + 7) / 15);
  };
  p[0] = mix(p[0], colour.red);
  p[1] = mix(p[1], colour.green);
  p[2] = mix(p[2], colour.blue);
}

void Canvas::fill(int x, int y, int width, int height, Colour colour) {
  for (int row = std::max(0, y); row < std::min(height_, y + height); ++row)
    for (int column = std::max(0, x); column < std::min(width_, x + width); ++column) blend(column, row, colour, 15);
}

void Canvas::place(int x, int y, const Picture& picture, int scale) {
  const std::vector<std::uint8_t> pixels = interleaved(picture);
  for (std::uint32_t row = 0; row < picture.height; ++row)
    for (std::uint32_t column = 0; column < picture.width; ++column) {
      const std::uint8_t* p = &pixels[(std::size_t{row} * picture.width + column) * picture.channels];
      const Colour colour = picture.channels == 3 ? Colour{p[0], p[1], p[2]} : Colour{p[0], p[0], p[0]};
      fill(x + static_cast<int>(column) * scale, y + static_cast<int>(row) * scale, scale, scale, colour);
    }
}

void Canvas::write(int x, int baseline, std::string_view utf8, const Font& font, Colour colour) {
  while (!utf8.empty()) {
    const Glyph& glyph = glyph_of(next_code(utf8), font);
    for (int row = 0; row < glyph.height; ++row)
      for (int column = 0; column < glyph.width; ++column) {
        const unsigned cover =
            hex_value(font.cover[glyph.offset + static_cast<std::size_t>(row * glyph.width + column)]);
        if (cover != 0) blend(x + glyph.left + column, baseline - glyph.top + row, colour, cover);
      }
    x += glyph.advance;
  }
}

int text_width(std::string_view utf8, const Font& font) {
  int width = 0;
  while (!utf8.empty()) width += glyph_of(next_code(utf8), font).advance;
  return width;
}

std::string fitted(std::string_view utf8, const Font& font, int most) {
  if (text_width(utf8, font) <= most) return std::string(utf8);
  int left = most - text_width("\u2026", font);
  std::string_view rest = utf8;
  while (!rest.empty()) {
    std::string_view after = rest;
    left -= glyph_of(next_code(after), font).advance;
    if (left < 0) break;
    rest = after;
  }
  return std::string(utf8.substr(0, utf8.size() - rest.size())) + "\u2026";
}

}  // namespace guda::orchestrator::report
