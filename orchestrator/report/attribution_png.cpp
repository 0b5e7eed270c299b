#include "orchestrator/report/attribution_png.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "common/error.hpp"
#include "common/png_encode.hpp"
#include "orchestrator/report/axis.hpp"
#include "orchestrator/report/canvas.hpp"
#include "orchestrator/report/numbers.hpp"

namespace guda::orchestrator::report {
namespace {

constexpr Colour kSheet{252, 252, 251}, kText{27, 31, 36}, kMuted{86, 96, 107}, kRule{223, 227, 230},
    kBar{53, 104, 168}, kPaleBar{160, 184, 214}, kWhisker{17, 21, 26};
constexpr int kWidth = 1080, kMargin = 32, kPicture = 256, kRight = kMargin + kPicture + 36, kLabels = 130,
              kValues = 240, kRow = 34, kBarHeight = 20;
constexpr int kNameHeight = 40, kMethodHeight = 34, kVerdictHeight = 44;
constexpr std::size_t kMostCards = 200;

std::size_t bars_of(const MethodAnswer& answer, std::size_t groups) { return std::min(groups, answer.top.size()); }

int answer_height(const MethodAnswer& answer, std::size_t groups) {
  return kMethodHeight + kRow * static_cast<int>(bars_of(answer, groups)) + kVerdictHeight;
}

int card_height(const QueryCard& card, std::size_t groups) {
  int right = kNameHeight;
  for (const auto& answer : card.answers) right += answer_height(answer, groups);
  return std::max(kPicture, right) + 2 * kMargin;
}

std::string verdict(const MethodAnswer& answer) {
  if (answer.top.empty()) return "Not evaluated.";
  if (answer.undecided && answer.top.size() > 1)
    return fmt::format("Undecided: {} and {} are closer than two standard errors.", answer.top[0].group,
                       answer.top[1].group);
  return fmt::format("Top group: {}", answer.top[0].group);
}

Axis axis_for(const MethodAnswer& answer, std::size_t groups) {
  Axis axis{.low = 0, .high = 0, .from = kRight + kLabels, .to = kWidth - kMargin - kValues};
  for (std::size_t i = 0; i < bars_of(answer, groups); ++i) {
    const GroupScore& s = answer.top[i];
    const double error = std::isfinite(s.standard_error) ? s.standard_error : 0;
    if (!std::isfinite(s.score)) continue;
    axis.low = std::min(axis.low, s.score - error);
    axis.high = std::max(axis.high, s.score + error);
  }
  if (!(axis.high > axis.low)) axis.high = axis.low + 1;
  return axis;
}

void draw_bar(Canvas& canvas, int y, const GroupScore& s, const Axis& x, Colour colour) {
  const int baseline = y + kRow / 2 + 7, middle = y + kRow / 2;
  const std::string label = fitted(s.group, kRegularFont, kLabels - 12);
  canvas.write(kRight + kLabels - 12 - text_width(label, kRegularFont), baseline, label, kRegularFont, kText);
  std::string value = significant(s.score, 2);
  if (std::isfinite(s.standard_error)) value += " \u00b1 " + significant(s.standard_error, 1);
  canvas.write(kWidth - kMargin - kValues + 14, baseline, fitted(value, kRegularFont, kValues - 14), kRegularFont,
               kText);
  if (!std::isfinite(s.score)) return;
  const auto at = [&](double v) { return static_cast<int>(std::lround(x.at(v))); };
  const int zero = at(0), end = at(s.score);
  canvas.fill(std::min(zero, end), middle - kBarHeight / 2, std::abs(end - zero), kBarHeight, colour);
  if (!std::isfinite(s.standard_error)) return;
  const int low = at(s.score - s.standard_error), high = at(s.score + s.standard_error);
  canvas.fill(low, middle - 1, high - low + 1, 2, kWhisker);
  for (const int cap : {low, high}) canvas.fill(cap - 1, middle - 5, 2, 10, kWhisker);
}

void draw_answer(Canvas& canvas, int y, const MethodAnswer& answer, const std::string& unit, std::size_t groups) {
  canvas.write(
      kRight, y + 22,
      fitted(fmt::format(
                 "{}: score in {}{}", answer.method, unit,
                 !answer.top.empty() && std::isfinite(answer.top[0].standard_error) ? " \u00b1 standard error" : ""),
             kRegularFont, kWidth - kMargin - kRight),
      kRegularFont, kMuted);
  y += kMethodHeight;
  const Axis x = axis_for(answer, groups);
  const int rows = static_cast<int>(bars_of(answer, groups));
  for (int i = 0; i < rows; ++i) {
    const bool named = i == 0 || (i == 1 && answer.undecided);
    draw_bar(canvas, y + i * kRow, answer.top[static_cast<std::size_t>(i)], x, named ? kBar : kPaleBar);
  }
  if (rows > 0) canvas.fill(static_cast<int>(std::lround(x.at(0))), y, 1, rows * kRow, kMuted);
  canvas.write(kRight, y + rows * kRow + 28, fitted(verdict(answer), kRegularFont, kWidth - kMargin - kRight),
               kRegularFont, kText);
}

/// Means of squares of pixels, so that a large picture fits kPicture; a small one as it is.
Picture reduced(const Picture& picture) {
  const std::uint32_t step = (std::max(picture.width, picture.height) + kPicture - 1) / kPicture;
  if (step <= 1) return picture;
  Picture small{
      picture.channels, std::max(1U, picture.height / step), std::max(1U, picture.width / step), picture.levels, {}};
  const std::uint32_t tall = std::min(step, picture.height), wide = std::min(step, picture.width);
  for (std::uint32_t c = 0; c < picture.channels; ++c)
    for (std::uint32_t r = 0; r < small.height; ++r)
      for (std::uint32_t q = 0; q < small.width; ++q) {
        std::uint32_t sum = 0;
        for (std::uint32_t y = r * step; y < r * step + tall; ++y)
          for (std::uint32_t x = q * step; x < q * step + wide; ++x)
            sum += picture.pixels.at((std::size_t{c} * picture.height + y) * picture.width + x);
        small.pixels.push_back(static_cast<std::uint8_t>((sum + tall * wide / 2) / (tall * wide)));
      }
  return small;
}

void draw_card(Canvas& canvas, int top, const QueryCard& card, const std::string& unit, std::size_t groups) {
  const int y = top + kMargin;
  if (!card.picture.empty()) {
    const Picture shown = reduced(card.picture);
    const int scale = std::max(1, kPicture / static_cast<int>(std::max({shown.width, shown.height, 1U})));
    canvas.fill(kMargin - 1, y - 1, static_cast<int>(shown.width) * scale + 2,
                static_cast<int>(shown.height) * scale + 2, kRule);
    canvas.place(kMargin, y, shown, scale);
  }
  canvas.write(kRight, y + 22, fitted(card.name, kBoldFont, kWidth - kMargin - kRight), kBoldFont, kText);
  int below = y + kNameHeight;
  for (const auto& answer : card.answers) {
    draw_answer(canvas, below, answer, unit, groups);
    below += answer_height(answer, groups);
  }
}

}  // namespace

std::vector<std::uint8_t> render_attribution_png(const std::vector<QueryCard>& cards, const std::string& score_unit,
                                                 std::size_t groups) {
  if (cards.empty() || cards.size() > kMostCards)
    throw Error(
        fmt::format("attribution picture: {} queries; it holds 1 to {} (name fewer images, or use --json for all)",
                    cards.size(), kMostCards));
  int height = 0;
  for (const auto& card : cards) height += card_height(card, groups);
  Canvas canvas(kWidth, height, kSheet);
  int top = 0;
  for (const auto& card : cards) {
    if (top > 0) canvas.fill(kMargin, top, kWidth - 2 * kMargin, 1, kRule);
    draw_card(canvas, top, card, score_unit, groups);
    top += card_height(card, groups);
  }
  return encode_png(
      {static_cast<std::uint32_t>(canvas.width()), static_cast<std::uint32_t>(canvas.height()), 3, canvas.pixels()});
}

}  // namespace guda::orchestrator::report
