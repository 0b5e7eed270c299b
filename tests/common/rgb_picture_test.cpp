// JPEG and PNG files as RGB pixels, against Pillow's.
#include "common/rgb_picture.hpp"

#include <doctest/doctest.h>

#include <charconv>
#include <filesystem>
#include <string>

#include "common/error.hpp"
#include "common/files.hpp"
#include "common/safetensors.hpp"
#include "tests/support/small_pictures.hpp"

using namespace guda;

namespace {

const std::filesystem::path kGolden = std::filesystem::path(GUDA_SOURCE_DIR) / "tests/golden/pictures";

RgbPicture golden(const std::string& name) { return decode_picture(read_file(kGolden / name), kGolden / name); }

/// Whether these are the pixels that Pillow has under this name.
bool as_pillow(const SafetensorsFile& expected, const std::string& name, const RgbPicture& got) {
  const auto bytes = expected.bytes(name);
  const auto& shape = expected.tensors().at(name).shape;
  return shape == std::vector<std::uint64_t>{got.height, got.width, 3} && bytes.size() == got.pixels.size() &&
         std::equal(bytes.begin(), bytes.end(), got.pixels.begin(),
                    [](std::byte a, std::uint8_t b) { return std::to_integer<std::uint8_t>(a) == b; });
}

std::string refusal(const std::string& bytes) {
  try {
    (void)decode_picture(bytes, "some/cat.jpg");
  } catch (const Error& error) {
    std::string also = "accepted";
    try {
      check_picture(bytes, "some/cat.jpg");
    } catch (const Error& checked) {
      also = checked.what();
    }
    return also == error.what() ? error.what() : "decoding says '" + std::string(error.what()) + "', checking '" + also;
  }
  return "accepted";
}

}  // namespace

TEST_CASE("pictures: JPEG and PNG files have Pillow's pixels, bit by bit; grey becomes RGB") {
  const SafetensorsFile expected(kGolden / "expected.safetensors");
  for (const std::string name : {"wide.jpg", "tall.jpg", "grey.jpg", "wide.png"}) {
    CAPTURE(name);
    CHECK(as_pillow(expected, name, golden(name)));
    CHECK_NOTHROW(check_picture(read_file(kGolden / name), name));
  }
}

TEST_CASE("pictures: resizing has Pillow's bits, smaller, larger and along one side") {
  const SafetensorsFile expected(kGolden / "expected.safetensors");
  std::size_t compared = 0;
  for (const std::string name : {"wide.jpg", "tall.jpg", "grey.jpg", "wide.png"}) {
    const RgbPicture picture = golden(name);
    for (const auto& [width, height] : {std::pair{16U, 16U}, {20U, 90U}, {64U, 64U}, {53U, 5U}}) {
      const std::string what = name + " " + std::to_string(width) + "x" + std::to_string(height);
      CAPTURE(what);
      CHECK(as_pillow(expected, what, resized(picture, width, height)));
      ++compared;
    }
    CHECK(resized(picture, picture.width, picture.height).pixels == picture.pixels);
  }
  CHECK(compared == 16);
}

TEST_CASE(
    "pictures: the shorter side is resized and the middle cut out as torchvision does it, or both are stretched") {
  const SafetensorsFile expected(kGolden / "expected.safetensors");
  for (const std::string name : {"wide.jpg", "tall.jpg", "wide.png"}) {
    for (const std::uint32_t side : {8U, 17U, 40U}) {
      CAPTURE(name);
      CAPTURE(side);
      CHECK(as_pillow(expected, name + " crop " + std::to_string(side), squared(golden(name), side, false)));
    }
    CHECK(as_pillow(expected, name + " 16x16", squared(golden(name), 16, true)));
  }
}

TEST_CASE("pictures: planes are channel by channel") {
  CHECK(planes_of({2, 1, {1, 2, 3, 4, 5, 6}}) == std::vector<std::uint8_t>{1, 4, 2, 5, 3, 6});
}

TEST_CASE("pictures: what is cut off or damaged is an error, not grey; decoding and checking agree") {
  for (const char* name : {"wide.jpg", "tall.jpg", "grey.jpg", "wide.png"}) {
    const std::string whole = read_file(kGolden / name);
    CAPTURE(name);
    for (const double part : {0.05, 0.3, 0.6, 0.9, 0.99})
      CHECK(refusal(whole.substr(0, static_cast<std::size_t>(double(whole.size()) * part)))
                .starts_with("some/cat.jpg: "));
  }
  CHECK(refusal("GIF89a").find("neither JPEG nor PNG") != std::string::npos);
  CHECK(refusal("").find("neither JPEG nor PNG") != std::string::npos);
  CHECK(refusal(read_file(kGolden / "cmyk.jpg")).find("CMYK") != std::string::npos);
  std::string large = read_file(kGolden / "wide.jpg");
  const std::size_t frame = large.find(std::string("\xff\xc0\x00", 3));
  REQUIRE(frame != std::string::npos);
  for (std::size_t i = frame + 5; i < frame + 9; ++i) large[i] = '\xfe';  // 65,278 pixels a side
  CHECK(refusal(large).find("more than") != std::string::npos);
}

TEST_CASE("pictures: no cut and no flipped bit of a JPEG makes it crash") {
  const std::string whole = test::jpeg_of(test::tinted_picture(24, 16, 1, 5));
  std::size_t refused = 0;
  for (std::size_t at = 3; at < whole.size(); ++at) {
    std::string bytes = whole;
    bytes[at] = static_cast<char>(bytes[at] ^ 0x10);
    refused += refusal(bytes) == "accepted" ? 0 : 1;
    CHECK(refusal(whole.substr(0, at)) != "accepted");
  }
  CHECK(refused > 0);
}
