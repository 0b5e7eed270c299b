#include "common/base64.hpp"

#include <doctest/doctest.h>

#include <vector>

using guda::base64;

TEST_CASE("base64: the vectors of RFC 4648 section 10") {
  const auto of = [](std::string_view text) { return base64(std::vector<std::uint8_t>(text.begin(), text.end())); };
  CHECK(of("") == "");
  CHECK(of("f") == "Zg==");
  CHECK(of("fo") == "Zm8=");
  CHECK(of("foo") == "Zm9v");
  CHECK(of("foob") == "Zm9vYg==");
  CHECK(of("fooba") == "Zm9vYmE=");
  CHECK(of("foobar") == "Zm9vYmFy");
}

TEST_CASE("base64: bytes above 127 and the last two digits") {
  CHECK(base64(std::vector<std::uint8_t>{0xFB, 0xFF, 0xFE}) == "+//+");
}
