#include <doctest/doctest.h>

#include "common/config/scalar.hpp"

using namespace guda::config;

namespace {

Node scalar(const std::string& text, bool quoted = false) {
  Node node;
  node.kind = Node::Kind::scalar;
  node.text = text;
  node.quoted = quoted;
  return node;
}

}  // namespace

TEST_CASE("scalars: integers are plain decimal digits") {
  CHECK(read_unsigned(scalar("0")).value == 0);
  CHECK(read_unsigned(scalar("18446744073709551615")).value == 18446744073709551615ULL);
  CHECK(read_integer(scalar("-7")).value == -7);
  for (const char* text :
       {"010", "-010", "1e3", "1.0", "+1", "0x1F", "0o17", "1_000", "", " 1", "18446744073709551616", "1,000", "٣"}) {
    CAPTURE(std::string(text));
    CHECK_FALSE(read_unsigned(scalar(text)));
    CHECK_FALSE(read_integer(scalar(text)));
  }
  CHECK_FALSE(read_unsigned(scalar("-1")));
  CHECK_FALSE(read_unsigned(scalar("5", true)));
}

TEST_CASE("scalars: numbers are finite and decimal") {
  CHECK(read_double(scalar("1e3")).value == 1000.0);
  CHECK(read_double(scalar("5")).value == 5.0);
  CHECK(read_double(scalar("-.5")).value == -0.5);
  CHECK(read_double(scalar("1e-8")).value == 1e-8);
  for (const char* text : {"1e999", "nan", "inf", ".inf", "-.INF", "0x1p3", "1,5", "01.5", "1.5.2", "", "one"}) {
    CAPTURE(std::string(text));
    CHECK_FALSE(read_double(scalar(text)));
  }
}

TEST_CASE("scalars: only true and false are booleans") {
  CHECK(read_bool(scalar("true")).value);
  CHECK_FALSE(read_bool(scalar("False")).value);
  CHECK(read_bool(scalar("False")));
  for (const char* text : {"yes", "no", "on", "off", "y", "1", "0", "tRue"}) CHECK_FALSE(read_bool(scalar(text)));
  CHECK_FALSE(read_bool(scalar("true", true)));
}

TEST_CASE("scalars: long nonsense is not repeated in full") {
  CHECK(read_unsigned(scalar(std::string(5000, 'x'))).wrong.size() < 200);
}
