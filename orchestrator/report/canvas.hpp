#pragma once
// A small raster: rectangles, enlarged pictures and text. Everything outside the canvas is clipped.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "orchestrator/report/font_atlas.hpp"
#include "orchestrator/report/report_data.hpp"

namespace guda::orchestrator::report {

struct Colour {
  std::uint8_t red = 0, green = 0, blue = 0;
  bool operator==(const Colour&) const = default;
};

class Canvas {
 public:
  Canvas(int width, int height, Colour ground);
  [[nodiscard]] int width() const noexcept { return width_; }
  [[nodiscard]] int height() const noexcept { return height_; }
  /// [row, column, red/green/blue]
  [[nodiscard]] const std::vector<std::uint8_t>& pixels() const noexcept { return pixels_; }
  [[nodiscard]] Colour at(int x, int y) const;

  void fill(int x, int y, int width, int height, Colour colour);
  /// The picture in squares of `scale` pixels.
  void place(int x, int y, const Picture& picture, int scale);
  /// `baseline`: y of the line the letters stand on. Signs that the font lacks are drawn as '?'.
  void write(int x, int baseline, std::string_view utf8, const Font& font, Colour colour);

 private:
  void blend(int x, int y, Colour colour, unsigned fifteenths);

  int width_, height_;
  std::vector<std::uint8_t> pixels_;
};

/// Width in pixels of the text.
[[nodiscard]] int text_width(std::string_view utf8, const Font& font);
/// The text, with its end replaced by an ellipsis where it is wider than `most` pixels.
[[nodiscard]] std::string fitted(std::string_view utf8, const Font& font, int most);

}  // namespace guda::orchestrator::report
