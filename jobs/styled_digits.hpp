#pragma once
// A small text-to-image data set: the digits as objects, drawn in eight styles that captions describe but never name,
// in the manner of UnlearnCanvas. Only integer arithmetic: bits are equal on every machine.
#include <array>
#include <cstdint>
#include <string_view>

#include "jobs/dataset.hpp"

namespace guda::jobs {

/// Descriptors are shared between styles, so that a caption fits more than one.
struct DigitStyle {
  std::string_view name;
  std::array<std::string_view, 5> descriptors;
};

inline constexpr std::array<DigitStyle, 8> kDigitStyles{{
    {"outline", {"thin contours", "hollow strokes", "line work", "high contrast", "crisp edges"}},
    {"invert", {"reversed tones", "negative image", "bright background", "high contrast", "flat tones"}},
    {"dots", {"dotted texture", "halftone screen", "regular pattern", "broken strokes", "flat tones"}},
    {"slant", {"tilted strokes", "leaning shapes", "flowing lines", "hand written", "crisp edges"}},
    {"thick", {"bold strokes", "heavy shapes", "rounded corners", "high contrast", "flowing lines"}},
    {"noise", {"grainy texture", "speckled ground", "rough surface", "broken strokes", "hand written"}},
    {"blur", {"soft edges", "hazy shapes", "smooth shading", "rounded corners", "low contrast"}},
    {"checker", {"chequered ground", "tiled texture", "regular pattern", "bright background", "low contrast"}},
}};

inline constexpr std::uint32_t kStyledDigitSide = 16;  ///< pixels

/// Every image of `digits` (8 x 8, 17 levels) in every style, at 16 x 16 and 256 levels: item 8 i + s is image i in
/// style s, its label is s. Styles have a random strength, and mix with the plain digit: all from (seed, item). Its
/// caption, "A depiction of Seven, artistic style featuring D1, D2, D3", has three descriptors of the style, drawn from
/// (seed, item). Not split.
[[nodiscard]] Dataset styled_digits(const Dataset& digits, std::uint64_t seed);

/// The digits at 16 x 16 and 256 levels without a style, captions too: item i is image i, its label the digit. Not
/// split.
[[nodiscard]] Dataset plain_digits(const Dataset& digits);

}  // namespace guda::jobs
