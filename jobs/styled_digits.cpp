#include "jobs/styled_digits.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "common/error.hpp"
#include "common/random.hpp"
#include "jobs/captions.hpp"

namespace guda::jobs {
namespace {

constexpr int kSmallSide = 8, kStyledSide = static_cast<int>(kStyledDigitSide), kSmallLevels = 17, kInk = 255;
constexpr std::array<std::string_view, 10> kDigitWords{"Zero", "One", "Two",   "Three", "Four",
                                                       "Five", "Six", "Seven", "Eight", "Nine"};

/// Ink 0..255 of each pixel; black ground around it.
struct Picture {
  std::array<int, kStyledSide * kStyledSide> ink{};
  [[nodiscard]] int at(int x, int y) const {
    const bool inside = x >= 0 && y >= 0 && x < kStyledSide && y < kStyledSide;
    return inside ? ink[static_cast<std::size_t>(y * kStyledSide + x)] : 0;
  }
};

template <class Pixel>
Picture picture_of(const Pixel& pixel) {
  Picture out;
  for (int y = 0; y < kStyledSide; ++y) {
    for (int x = 0; x < kStyledSide; ++x)
      out.ink[static_cast<std::size_t>(y * kStyledSide + x)] = std::clamp(pixel(x, y), 0, kInk);
  }
  return out;
}

/// Twice as large, bilinear between pixel centres, edges repeated; 0..16 becomes 0..255.
Picture enlarged(const std::uint8_t* small) {
  const auto at = [&](int x, int y) {
    return static_cast<int>(small[std::clamp(y, 0, kSmallSide - 1) * kSmallSide + std::clamp(x, 0, kSmallSide - 1)]);
  };
  return picture_of([&](int x, int y) {
    const int nx = x / 2, ny = y / 2, fx = x % 2 == 0 ? nx - 1 : nx + 1, fy = y % 2 == 0 ? ny - 1 : ny + 1;
    const int sixteenths = 9 * at(nx, ny) + 3 * at(fx, ny) + 3 * at(nx, fy) + at(fx, fy);
    return (sixteenths * kInk + 8 * (kSmallLevels - 1)) / (16 * (kSmallLevels - 1));
  });
}

/// Folds the 3 x 3 neighbourhood.
template <class Fold>
int neighbourhood(const Picture& p, int x, int y, int start, const Fold& fold) {
  for (int dy = -1; dy <= 1; ++dy) {
    for (int dx = -1; dx <= 1; ++dx) start = fold(start, p.at(x + dx, y + dy));
  }
  return start;
}

int highest_ink(const Picture& p, int x, int y) {
  return neighbourhood(p, x, y, 0, [](int a, int b) { return std::max(a, b); });
}

Picture blurred(const Picture& p) {
  return picture_of(
      [&](int x, int y) { return (neighbourhood(p, x, y, 0, [](int a, int b) { return a + b; }) + 4) / 9; });
}

Picture in_style(std::size_t style, const Picture& p, std::uint64_t seed, std::uint64_t& counter) {
  const auto below = [&](std::uint64_t bound) { return static_cast<int>(random_below(seed, counter, bound)); };
  const std::string_view name = kDigitStyles.at(style).name;
  if (name == "outline") {
    return picture_of([&](int x, int y) {
      return highest_ink(p, x, y) - neighbourhood(p, x, y, kInk, [](int a, int b) { return std::min(a, b); });
    });
  }
  if (name == "invert") return picture_of([&](int x, int y) { return kInk - p.at(x, y); });
  if (name == "dots") {
    const int across = below(3), down = below(3);
    return picture_of([&](int x, int y) { return (x + across) % 3 == 0 || (y + down) % 3 == 0 ? 0 : p.at(x, y); });
  }
  if (name == "slant") {
    const int lean = (2 + below(3)) * (below(4) == 0 ? -1 : 1);  // pixels at top and bottom; mostly to the right
    return picture_of([&](int x, int y) {
      const int middle = 2 * y - (kStyledSide - 1);  // -15 .. 15
      return p.at(x + (middle * lean + (middle * lean < 0 ? -7 : 7)) / 15, y);
    });
  }
  if (name == "thick") return picture_of([&](int x, int y) { return highest_ink(p, x, y); });
  if (name == "noise") {
    const int spread = 48 + below(80);
    return picture_of([&](int x, int y) { return p.at(x, y) - spread + below(2 * static_cast<unsigned>(spread) + 1); });
  }
  if (name == "blur") return blurred(blurred(p));
  if (name == "checker") {
    const int side = 2 + below(3), across = below(8), level = 64 + below(96);
    return picture_of([&](int x, int y) {
      const bool lit = ((x + across) / side + y / side) % 2 == 0;
      return lit ? std::max(p.at(x, y), level) : p.at(x, y);
    });
  }
  throw Bug(fmt::format("styled_digits: style '{}' has no drawing", name));
}

std::string object_of(std::uint32_t digit) { return std::string(kDigitWords.at(digit)); }

/// Three of the descriptors, in an order of the item's own.
std::string styled_caption(std::uint32_t item, std::uint32_t digit, std::uint64_t seed) {
  const auto& descriptors = kDigitStyles.at(item % kDigitStyles.size()).descriptors;
  const auto order = random_permutation(static_cast<std::uint32_t>(descriptors.size()), random_bits(~seed, item));
  Caption caption{object_of(digit), {}};
  for (std::size_t i = 0; i < 3; ++i) caption.descriptors.emplace_back(descriptors.at(order[i]));
  return training_caption(caption);
}

/// An empty data set of their enlarged form.
Dataset enlarged_digits_of(const Dataset& digits) {
  if (digits.shape != std::array<std::uint32_t, 3>{1, kSmallSide, kSmallSide} || digits.levels != kSmallLevels)
    throw Bug("styled_digits: these are no digits of 8 x 8 with 17 levels");
  Dataset data;
  data.shape = {1, kStyledSide, kStyledSide};
  data.levels = kInk + 1;
  return data;
}

}  // namespace

Dataset styled_digits(const Dataset& digits, std::uint64_t seed) {
  Dataset styled = enlarged_digits_of(digits);
  for (const DigitStyle& style : kDigitStyles) {
    styled.class_names.emplace_back(style.name);
    styled.descriptors.emplace_back(style.descriptors.begin(), style.descriptors.end());
  }
  styled.pixels.reserve(digits.labels.size() * kDigitStyles.size() * styled.image_size());
  for (std::size_t image = 0; image < digits.labels.size(); ++image) {
    const Picture plain = enlarged(digits.pixels.data() + image * digits.image_size());
    for (std::size_t style = 0; style < kDigitStyles.size(); ++style) {
      const std::uint64_t item = image * kDigitStyles.size() + style, own = random_bits(seed, item);
      std::uint64_t counter = 0;
      const int strength = 6 + static_cast<int>(random_below(own, counter, 11));  // of 16
      const Picture drawn = in_style(style, plain, own, counter);
      for (std::size_t i = 0; i < drawn.ink.size(); ++i) {
        const int mixed = (strength * drawn.ink[i] + (16 - strength) * plain.ink[i] + 8) / 16;
        styled.pixels.push_back(static_cast<std::uint8_t>(mixed));
      }
      styled.labels.push_back(static_cast<std::uint32_t>(style));
      styled.sources.push_back(static_cast<std::uint32_t>(image));
      styled.captions.push_back(styled_caption(static_cast<std::uint32_t>(item), digits.labels[image], seed));
    }
  }
  return styled;
}

Dataset plain_digits(const Dataset& digits) {
  Dataset plain = enlarged_digits_of(digits);
  plain.class_names.assign(kDigitWords.begin(), kDigitWords.end());
  plain.labels = digits.labels;
  for (std::size_t image = 0; image < digits.labels.size(); ++image) {
    for (const int ink : enlarged(digits.pixels.data() + image * digits.image_size()).ink)
      plain.pixels.push_back(static_cast<std::uint8_t>(ink));
    plain.captions.push_back(training_caption({object_of(digits.labels[image]), {}}));
  }
  return plain;
}

}  // namespace guda::jobs
