#include "orchestrator/report/attribution_png.hpp"

#include <doctest/doctest.h>
#include <png.h>

#include <set>

#include "common/error.hpp"
#include "orchestrator/report/canvas.hpp"

using namespace guda;
using namespace guda::orchestrator::report;

namespace {

QueryCard card(std::vector<GroupScore> top, bool is_undecided) {
  QueryCard c{.name = "mine.png",
              .set = "images",
              .true_group = "",
              .prompt = "",
              .picture = {1, 2, 2, 17, {0, 16, 16, 0}},
              .answers = {}};
  c.answers = {{"retrack_exact", std::move(top), is_undecided}};
  return c;
}

struct Decoded {
  png_image image{};
  std::vector<std::uint8_t> pixels;
  [[nodiscard]] Colour at(std::uint32_t x, std::uint32_t y) const {
    const std::uint8_t* p = &pixels.at((std::size_t{y} * image.width + x) * 3);
    return {p[0], p[1], p[2]};
  }
  [[nodiscard]] std::size_t count(Colour colour) const {
    std::size_t n = 0;
    for (std::size_t i = 0; i < pixels.size(); i += 3) n += Colour{pixels[i], pixels[i + 1], pixels[i + 2]} == colour;
    return n;
  }
};

Decoded decoded(const std::vector<std::uint8_t>& bytes) {
  Decoded d;
  d.image.version = PNG_IMAGE_VERSION;
  REQUIRE(png_image_begin_read_from_memory(&d.image, bytes.data(), bytes.size()) != 0);
  d.image.format = PNG_FORMAT_RGB;
  d.pixels.resize(PNG_IMAGE_SIZE(d.image));
  REQUIRE(png_image_finish_read(&d.image, nullptr, d.pixels.data(), 0, nullptr) != 0);
  return d;
}

constexpr Colour kBar{53, 104, 168};

}  // namespace

TEST_CASE("attribution picture: the query is enlarged in squares") {
  const Decoded d = decoded(render_attribution_png({card({{"a", 1, .1}}, false)}, "nats"));
  CHECK(d.image.width == 1080);
  CHECK(d.at(32 + 10, 32 + 10) == Colour{0, 0, 0});
  CHECK(d.at(32 + 127, 32 + 127) == Colour{0, 0, 0});
  CHECK(d.at(32 + 129, 32 + 10) == Colour{255, 255, 255});
  CHECK(d.at(32 + 129, 32 + 129) == Colour{0, 0, 0});
}

TEST_CASE("attribution picture: bars are as long as their scores, and an undecided answer names two") {
  const std::vector<GroupScore> top{{"a", 1.0, kUnknown}, {"b", 0.5, kUnknown}, {"c", 0.25, kUnknown}};
  const std::size_t one = decoded(render_attribution_png({card(top, false)}, "nats")).count(kBar);
  const std::size_t two = decoded(render_attribution_png({card(top, true)}, "nats")).count(kBar);
  CHECK(one > 1000);
  CHECK(static_cast<double>(two) == doctest::Approx(1.5 * static_cast<double>(one)).epsilon(0.02));
}

TEST_CASE("attribution picture: more queries, methods and groups make it higher, not wider") {
  const QueryCard small = card({{"a", 1, .1}}, false);
  QueryCard large = small;
  large.answers.assign(3, {"m", std::vector<GroupScore>(9, {"g", -1, .2}), false});
  const auto one = decoded(render_attribution_png({small}, "nats")).image;
  const auto two = decoded(render_attribution_png({small, large}, "nats", 7)).image;
  CHECK(two.width == one.width);
  CHECK(two.height > 2 * one.height);
}

TEST_CASE("attribution picture: odd inputs are drawn") {
  QueryCard none = card({}, false);
  none.picture = {};
  QueryCard wide = card({{std::string(300, 'W'), kUnknown, kUnknown}, {"\xFF\xC3", 0, 0}}, true);
  wide.picture = {3, 2, 900, 256, std::vector<std::uint8_t>(5400, 200)};
  CHECK_NOTHROW((void)render_attribution_png({none, wide}, "nats"));
  CHECK_THROWS_AS((void)render_attribution_png({}, "nats"), Error);
}

TEST_CASE("canvas: letters leave ink where they are written and nothing is drawn outside") {
  Canvas canvas(60, 30, {255, 255, 255});
  canvas.write(5, 22, "Hg", kBoldFont, {0, 0, 0});
  std::set<std::uint8_t> greys;
  for (int y = 0; y < 30; ++y)
    for (int x = 0; x < 60; ++x) greys.insert(canvas.at(x, y).red);
  CHECK(greys.size() > 4);  // smooth edges
  CHECK(greys.count(0) == 1);
  CHECK(canvas.at(2, 10).red == 255);
  CHECK_NOTHROW(canvas.write(-20, 60, "outside", kRegularFont, {0, 0, 0}));
  CHECK_NOTHROW(canvas.fill(-5, -5, 1000, 1000, {1, 2, 3}));
}

TEST_CASE("canvas: text is shortened to the room it has, between characters") {
  CHECK(fitted("abc", kRegularFont, 400) == "abc");
  const std::string cut = fitted("a long name \u00b1 of a group", kRegularFont, 90);
  CHECK(text_width(cut, kRegularFont) <= 90);
  CHECK(cut.ends_with("\u2026"));
  CHECK(cut.size() > 6);
}
