#include "common/config/scalar.hpp"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

namespace guda::config {
namespace {

bool all_digits(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

/// Why a node is no plain scalar; "" if it is one.
std::string not_plain(const Node& node, const char* wanted) {
  if (node.is_null()) return fmt::format("has no value; it wants {}", wanted);
  if (!node.is_scalar()) return fmt::format("wants {}, not {}", wanted, node.kind_name());
  return "";
}

std::string quoted(const std::string& text) {
  return fmt::format("'{}'", text.size() > 80 ? text.substr(0, 77) + "..." : text);
}

/// A finite double that takes all of `text`, in decimal.
bool to_double(const std::string& text, double& value) {
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  return result.ec == std::errc() && result.ptr == text.data() + text.size() && std::isfinite(value);
}

bool leading_zero(std::string_view text) {
  if (text.starts_with('-')) text.remove_prefix(1);
  return text.size() > 1 && text[0] == '0' && text[1] >= '0' && text[1] <= '9';
}

std::string why_no_integer(const Node& node, const char* wanted) {
  double number = 0;
  const std::string& text = node.text;
  if (leading_zero(text))
    return fmt::format("{} starts with 0, which some readers take for octal; write it without", quoted(text));
  if (!to_double(text, number)) return fmt::format("wants {}, not {}", wanted, quoted(text));
  if (node.quoted) return fmt::format("wants {}, not text: take {} out of its quotes", wanted, text);
  const bool integral = number == std::trunc(number) && std::abs(number) < 1e15;
  if (integral && text.find_first_of(".eE") != std::string::npos && (number >= 0 || text[0] == '-')) {
    return fmt::format("wants {}: write {:.0f} instead of {}", wanted, number, text);
  }
  return fmt::format("wants {}, not {}", wanted, quoted(text));
}

template <class T>
Read<T> integer(const Node& node, const char* wanted) {
  if (auto wrong = not_plain(node, wanted); !wrong.empty()) return {0, wrong};
  std::string_view digits = node.text;
  if (std::is_signed_v<T> && digits.starts_with('-')) digits.remove_prefix(1);
  if (node.quoted || !all_digits(digits) || leading_zero(digits)) return {0, why_no_integer(node, wanted)};
  T value = 0;
  const auto result = std::from_chars(node.text.data(), node.text.data() + node.text.size(), value);
  if (result.ec != std::errc()) return {0, fmt::format("{} is too large", quoted(node.text))};
  return {value, ""};
}

}  // namespace

Read<std::uint64_t> read_unsigned(const Node& node) { return integer<std::uint64_t>(node, "an integer of 0 or more"); }

Read<std::int64_t> read_integer(const Node& node) { return integer<std::int64_t>(node, "an integer"); }

Read<double> read_double(const Node& node) {
  if (auto wrong = not_plain(node, "a number"); !wrong.empty()) return {0, wrong};
  double value = 0;
  if (leading_zero(node.text)) return {0, quoted(node.text) + " starts with 0; write it without"};
  if (!to_double(node.text, value)) return {0, fmt::format("wants a finite decimal number, not {}", quoted(node.text))};
  if (node.quoted) return {0, fmt::format("wants a number, not text: take {} out of its quotes", node.text)};
  return {value, ""};
}

Read<bool> read_bool(const Node& node) {
  if (auto wrong = not_plain(node, "true or false"); !wrong.empty()) return {false, wrong};
  if (!node.quoted && (node.text == "true" || node.text == "True" || node.text == "TRUE")) return {true, ""};
  if (!node.quoted && (node.text == "false" || node.text == "False" || node.text == "FALSE")) return {false, ""};
  return {false, fmt::format("wants true or false, not {}", quoted(node.text))};
}

Read<std::string> read_text(const Node& node) {
  if (auto wrong = not_plain(node, "text"); !wrong.empty()) return {"", wrong};
  return {node.text, ""};
}

}  // namespace guda::config
