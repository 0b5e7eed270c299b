#pragma once
// Scalars of a YAML document as C++ values, without YAML's traps: 010 is not 8, 1e3 is no integer, yes is not true.
#include <cstdint>
#include <string>

#include "common/config/yaml.hpp"

namespace guda::config {

/// A value, or what is wrong with the text, for an issue.
template <class T>
struct Read {
  T value{};
  std::string wrong;  ///< empty = value holds
  [[nodiscard]] explicit operator bool() const noexcept { return wrong.empty(); }
};

[[nodiscard]] Read<std::uint64_t> read_unsigned(const Node& node);
[[nodiscard]] Read<std::int64_t> read_integer(const Node& node);
/// Finite; "1e3" and "5" are numbers too.
[[nodiscard]] Read<double> read_double(const Node& node);
[[nodiscard]] Read<bool> read_bool(const Node& node);
/// Any single value as it is written.
[[nodiscard]] Read<std::string> read_text(const Node& node);

}  // namespace guda::config
