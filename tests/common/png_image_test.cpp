#include "common/png_image.hpp"

#include <doctest/doctest.h>

#include <string>

#include "common/error.hpp"
#include "common/files.hpp"
#include "tests/support/scratch_folder.hpp"

using namespace guda;

TEST_CASE("png: grey and RGB pictures come back pixel for pixel") {
  const test::ScratchFolder folder;
  for (const std::uint32_t channels : {1U, 3U}) {
    PngImage image{5, 3, channels, {}};
    for (std::uint32_t i = 0; i < 15 * channels; ++i) image.pixels.push_back(static_cast<std::uint8_t>(i * 16));
    replace_file(folder / "a.png", encode_png(image));
    const PngImage again = read_png(folder / "a.png");
    CHECK(again.width == 5);
    CHECK(again.height == 3);
    CHECK(again.channels == channels);
    CHECK(again.pixels == image.pixels);
  }
}

TEST_CASE("png: what is no PNG, cut or missing is refused with the file's name") {
  const test::ScratchFolder folder;
  const std::string good = encode_png({8, 8, 1, std::vector<std::uint8_t>(64, 7)});
  replace_file(folder / "text.png", "hello");
  CHECK_THROWS_WITH_AS((void)read_png(folder / "text.png"), doctest::Contains("text.png"), Error);
  replace_file(folder / "cut.png", good.substr(0, good.size() - 20));
  CHECK_THROWS_WITH_AS((void)read_png(folder / "cut.png"), doctest::Contains("cut.png"), Error);
  CHECK_THROWS_AS((void)read_png(folder / "none.png"), IoError);
}

TEST_CASE("png: a header that declares too many pixels is refused before it is read") {
  const test::ScratchFolder folder;
  // Signature and IHDR of a 65,535 x 65,535 grey picture, then the head of its data.
  const unsigned char header[] = {0x89, 'P',  'N',  'G',  13,   10,   26, 10, 0,    0,    0,   13,  'I', 'H',
                                  'D',  'R',  0,    0,    0xff, 0xff, 0,  0,  0xff, 0xff, 8,   0,   0,   0,
                                  0,    0x93, 0x6e, 0x86, 0x8c, 0,    0,  0,  1,    'I',  'D', 'A', 'T'};
  replace_file(folder / "big.png", std::string(reinterpret_cast<const char*>(header), sizeof header));
  CHECK_THROWS_WITH_AS((void)read_png(folder / "big.png"), doctest::Contains("big.png: 65535 x 65535 pixels are more"),
                       Error);
}

TEST_CASE("png: pixels that do not fit the size are our bug") {
  CHECK_THROWS_AS((void)encode_png({2, 2, 1, std::vector<std::uint8_t>(3)}), Bug);
  CHECK_THROWS_AS((void)encode_png({2, 2, 2, std::vector<std::uint8_t>(8)}), Bug);
}
